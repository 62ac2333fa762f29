#include <librdkafka/rdkafka.h>

/* Queues a copy of a record. Takes over `headers` on success only. Variadic functions are out of Swift's reach. */
static inline rd_kafka_resp_err_t invar_kafka_produce(
    rd_kafka_t *producer, const char *topic, const void *value, size_t value_size, const void *key, size_t key_size,
    rd_kafka_headers_t *headers, void *opaque) {
    if (headers)
        return rd_kafka_producev(
            producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE((void *)value, value_size), RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_HEADERS(headers),
            RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    return rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE((void *)value, value_size), RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_OPAQUE(opaque),
        RD_KAFKA_V_END);
}
