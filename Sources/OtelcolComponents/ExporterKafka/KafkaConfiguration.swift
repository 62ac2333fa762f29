import CKafka
import Essentials
import Synchronization
import Transport

/// The settings of a producer in librdkafka's words; see its CONFIGURATION.md.
struct KafkaConfiguration: ~Copyable {
    private var pointer: OpaquePointer?

    init() { pointer = rd_kafka_conf_new() }

    deinit { if let pointer { rd_kafka_conf_destroy(pointer) } }

    func apply(_ settings: KafkaProducerSettings) throws(KafkaError) {
        try set("bootstrap.servers", settings.brokers.joined(separator: ","))
        try set("client.id", settings.clientID)
        try set("broker.version.fallback", settings.protocolVersion)
        let attempt = settings.timeout > .zero ? max(settings.timeout, .milliseconds(1)) : .seconds(300)
        try set("message.timeout.ms", attempt)
        try set("socket.timeout.ms", max(attempt, .milliseconds(10)))
        try set("request.timeout.ms", attempt)
        try set("connections.max.idle.ms", settings.idleTimeout)
        try set("message.max.bytes", String(settings.maximumRecordBytes))
        try set("batch.size", String(settings.maximumRequestBytes))
        try set("batch.num.messages", String(settings.maximumRecordsPerRequest))
        try set("request.required.acks", String(settings.acknowledgement.rawValue))
        try set("compression.codec", settings.compression)
        if let level = settings.compressionLevel { try set("compression.level", String(level)) }
        try set("linger.ms", settings.linger)
        try set("topic.metadata.refresh.interval.ms", settings.metadata.refreshInterval)
        try set("topic.metadata.refresh.sparse", settings.metadata.isFull ? "false" : "true")
        try set("topic.metadata.refresh.fast.interval.ms", settings.metadata.backoff)
        try set("retry.backoff.ms", settings.metadata.backoff)
        switch settings.partitioner.strategy {
        case .fnv: try set("partitioner", "fnv1a_random")
        case .murmur2: try set("partitioner", "murmur2_random")
        case .roundRobin, .leastBackup: break
        }
        try apply(settings.login, settings.kerberos, settings.tls)
    }

    /// What the library has for a setting; nil when it knows none.
    func value(of name: String) -> String? {
        var text = [CChar](repeating: 0, count: 1024)
        var count = text.count
        guard rd_kafka_conf_get(pointer, name, &text, &count) == RD_KAFKA_CONF_OK else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func apply(_ login: KafkaLogin?, _ kerberos: KafkaKerberos?, _ tls: ClientTLS?) throws(KafkaError) {
        let isPlain = login == nil && kerberos == nil
        try set("security.protocol", (isPlain ? "" : "sasl_") + (tls != nil ? "ssl" : "plaintext"))
        if let kerberos {
            guard value(of: "builtin.features")?.contains("sasl_gssapi") == true else {
                throw KafkaError(
                    "the Kafka client of this system knows no Kerberos: use sasl with a name and a password")
            }
            try set("sasl.mechanisms", "GSSAPI")
            try set("sasl.kerberos.service.name", kerberos.serviceName)
            try set("sasl.kerberos.principal", kerberos.principal)
            try set("sasl.kerberos.keytab", kerberos.keytab)
        }
        if let login {
            try set("sasl.mechanisms", login.mechanism)
            if login.region == nil {
                try set("sasl.username", login.username)
                try set("sasl.password", login.password.reveal { $0 })
            }
        }
        guard let settings = tls?.settings else { return }
        if let pem = settings.caPEM { try set("ssl.ca.pem", pem) }
        if let file = settings.caFile { try set("ssl.ca.location", file) }
        if let pem = settings.certificatePEM { try set("ssl.certificate.pem", pem) }
        if let file = settings.certificateFile { try set("ssl.certificate.location", file) }
        if let key = settings.keyPEM { try set("ssl.key.pem", key.reveal { $0 }) }
        if let file = settings.keyFile { try set("ssl.key.location", file) }
        if settings.skipsVerification { try set("enable.ssl.certificate.verification", "false") }
    }

    private func set(_ name: String, _ duration: Duration) throws(KafkaError) {
        try set(name, String(min(duration.nanoseconds / 1_000_000, 2_147_483_647)))
    }

    /// Values may be secret: an error says the name only.
    private func set(_ name: String, _ value: String) throws(KafkaError) {
        var reason = [CChar](repeating: 0, count: 512)
        guard rd_kafka_conf_set(pointer, name, value, &reason, reason.count) == RD_KAFKA_CONF_OK else {
            throw KafkaError("the Kafka client refuses its setting \(name)")
        }
    }

    /// Makes the producer, which owns the configuration from then on.
    consuming func makeProducer(_ callbacks: KafkaCallbacks) throws(KafkaError) -> OpaquePointer {
        callbacks.install(on: pointer)
        var reason = [CChar](repeating: 0, count: 512)
        guard let producer = rd_kafka_new(RD_KAFKA_PRODUCER, pointer, &reason, reason.count) else {
            let text = String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw KafkaError("the Kafka client cannot be made: \(text)")
        }
        pointer = nil
        let (main, background) = (rd_kafka_queue_get_main(producer), rd_kafka_queue_get_background(producer))
        // Reports of deliveries are served by the library's own thread.
        rd_kafka_queue_forward(main, background)
        rd_kafka_queue_destroy(main)
        rd_kafka_queue_destroy(background)
        return producer
    }
}

/// What librdkafka calls from its threads.
final class KafkaCallbacks: Sendable {
    private let log: Log
    private let strategy: KafkaPartitioning.Strategy
    private let tokens: KafkaTokens?
    private let chooser = KafkaPartitionChooser()

    init(log: Log, strategy: KafkaPartitioning.Strategy, tokens: KafkaTokens?) {
        self.log = log
        self.strategy = strategy
        self.tokens = tokens
    }

    /// The callbacks must outlive the producer.
    func install(on configuration: OpaquePointer?) {
        let opaque = Unmanaged.passUnretained(self).toOpaque()
        rd_kafka_conf_set_opaque(configuration, opaque)
        rd_kafka_conf_set_events(configuration, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR)
        if tokens != nil {
            // The library's own thread makes no event of it.
            rd_kafka_conf_set_oauthbearer_token_refresh_cb(configuration) { producer, _, opaque in
                guard let producer, let opaque else { return }
                Unmanaged<KafkaCallbacks>.fromOpaque(opaque).takeUnretainedValue().tokens?.refresh(producer)
            }
        }
        rd_kafka_conf_set_background_event_cb(configuration) { _, event, opaque in
            guard let event, let opaque else { return }
            Unmanaged<KafkaCallbacks>.fromOpaque(opaque).takeUnretainedValue().handle(event)
            rd_kafka_event_destroy(event)
        }
        rd_kafka_conf_set_log_cb(configuration) { producer, level, facility, text in
            guard let producer, let text, let opaque = rd_kafka_opaque(producer) else { return }
            Unmanaged<KafkaCallbacks>.fromOpaque(opaque).takeUnretainedValue()
                .note(String(cString: text), facility.map { String(cString: $0) } ?? "", level)
        }
        guard strategy == .roundRobin || strategy == .leastBackup else { return }
        let topics = rd_kafka_topic_conf_new()
        rd_kafka_topic_conf_set_opaque(topics, opaque)
        rd_kafka_topic_conf_set_partitioner_cb(topics) { topic, _, _, count, opaque, _ in
            guard let topic, let opaque, count > 0 else { return RD_KAFKA_PARTITION_UA }
            let callbacks = Unmanaged<KafkaCallbacks>.fromOpaque(opaque).takeUnretainedValue()
            return callbacks.choose(topic, count)
        }
        rd_kafka_conf_set_default_topic_conf(configuration, topics)
    }

    private func handle(_ event: OpaquePointer) {
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_DR:
            while let message = rd_kafka_event_message_next(event) {
                if strategy == .leastBackup, let topic = message.pointee.rkt {
                    chooser.finish(topic, Int(message.pointee.partition))
                }
                guard let opaque = message.pointee._private else { continue }
                let ticket = Unmanaged<KafkaTicket>.fromOpaque(opaque).takeRetainedValue()
                ticket.delivery.finish(ticket.index, message.pointee.err)
            }
        case RD_KAFKA_EVENT_ERROR:
            let text = rd_kafka_event_error_string(event).map { String(cString: $0) } ?? ""
            log.warn("The Kafka client has trouble", nil, ["reason": text])
        default: break
        }
    }

    /// Levels are syslog's. What goes wrong comes as an error too.
    private func note(_ text: String, _ facility: String, _ level: Int32) {
        if level <= 3 {
            log.warn("Kafka client", nil, ["facility": facility, "message": text])
        } else {
            log.debug("Kafka client", nil, ["facility": facility, "message": text])
        }
    }

    private func choose(_ topic: OpaquePointer, _ count: Int32) -> Int32 {
        switch strategy {
        case .leastBackup: return Int32(chooser.leastBusy(topic, Int(count)))
        default:
            // Partitions without a leader are passed over while there is another.
            for _ in 0..<count {
                let partition = Int32(chooser.next(topic, Int(count)))
                if rd_kafka_topic_partition_available(topic, partition) != 0 { return partition }
            }
            return Int32(chooser.next(topic, Int(count)))
        }
    }
}

/// Partitions in turn, or by what is under way to them.
final class KafkaPartitionChooser: Sendable {
    private struct Topic {
        var next = 0
        var underWay: [Int] = []
    }

    /// By the address of the library's topic.
    private let topics = Mutex<[UInt: Topic]>([:])

    func next(_ topic: OpaquePointer, _ count: Int) -> Int {
        let key = UInt(bitPattern: topic)
        return topics.withLock { topics in
            let partition = topics[key, default: Topic()].next % count
            topics[key, default: Topic()].next = (partition + 1) % count
            return partition
        }
    }

    func leastBusy(_ topic: OpaquePointer, _ count: Int) -> Int {
        let key = UInt(bitPattern: topic)
        return topics.withLock { topics in
            var state = topics[key] ?? Topic()
            while state.underWay.count < count { state.underWay.append(0) }
            let partition = (0..<count).min { state.underWay[$0] < state.underWay[$1] } ?? 0
            state.underWay[partition] += 1
            topics[key] = state
            return partition
        }
    }

    func finish(_ topic: OpaquePointer, _ partition: Int) {
        let key = UInt(bitPattern: topic)
        topics.withLock { topics in
            guard let state = topics[key], state.underWay.indices.contains(partition) else { return }
            topics[key]?.underWay[partition] -= 1
        }
    }
}
