"""Brokers of Kafka in a process of their own, and a consumer that tells what was written to them.

The brokers are those that librdkafka has for tests: they speak the protocol over TCP, keep partitions in memory and make
topics when asked. Prints the brokers' addresses as JSON; for each line {"topic": ..., "count": ...} on standard input prints
the records of a topic: at least that many, or fewer after twenty seconds.
"""

import base64
import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

PARTITIONS = 4


def main():
    cluster = Producer({"bootstrap.servers": "replaced", "test.mock.num.brokers": 3, "log_level": 0})
    brokers = [f"{each.host}:{each.port}" for each in cluster.list_topics(timeout=20).brokers.values()]
    print(json.dumps(brokers), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        consumer = Consumer({"bootstrap.servers": brokers[0], "group.id": "tests"})
        consumer.assign([TopicPartition(wanted["topic"], number, 0) for number in range(PARTITIONS)])
        records = []
        end = time.monotonic() + 20
        while time.monotonic() < end:
            message = consumer.poll(0.5)
            if message is None and len(records) >= wanted["count"]:
                break
            if message is not None and message.error() is None:
                records.append({
                    "partition": message.partition(), "key": message.key() and message.key().decode(),
                    "headers": [[name, value.decode()] for name, value in message.headers() or []],
                    "value": base64.b64encode(message.value()).decode()})
        consumer.close()
        print(json.dumps(records), flush=True)


if __name__ == "__main__":
    main()
