import AlloySyntax
import ComponentKit
import Essentials
import Transport

/// How brokers are reached and records are sent.
struct KafkaProducerSettings: Sendable, Equatable {
    enum Acknowledgement: Int, Sendable {
        case all = -1
        case none = 0
        case leader = 1
    }

    let brokers: [String]
    let protocolVersion: String
    let clientID: String
    /// Of one attempt.
    let timeout: Duration
    let idleTimeout: Duration
    let login: KafkaLogin?
    let kerberos: KafkaKerberos?
    /// Nil is without TLS.
    let tls: ClientTLS?
    let metadata: KafkaMetadata
    let maximumRecordBytes: Int
    let maximumRequestBytes: Int
    let acknowledgement: Acknowledgement
    let compression: String
    /// Nil is the codec's own.
    let compressionLevel: Int?
    let maximumRecordsPerRequest: Int
    let createsTopics: Bool
    let linger: Duration
    let partitioner: KafkaPartitioning
    /// Metadata of clients that become headers.
    var headers: [String] = []

    init(from block: inout BlockReader) {
        protocolVersion = block.required("protocol_version", "The version of Kafka the brokers have at least.")
        brokers = block.optional("brokers", default: ["localhost:9092"], "Addresses of brokers to begin with.")
        let canonical = block.optional(
            "resolve_canonical_bootstrap_servers_only", default: false,
            "Whether addresses are looked up and the names of what is found used.")
        clientID = block.optional("client_id", default: "otel-collector", "What the client calls itself.")
        timeout = block.optional("timeout", default: Duration.seconds(5), "How long an attempt may take.")
        idleTimeout = block.optional(
            "conn_idle_timeout", default: Duration.seconds(540), "When unused connections are closed.")
        let authentication: KafkaAuthentication = block.block("authentication", "Who the client is.")
        let tls: ClientTLS? = block.optionalBlock("tls", "How brokers are reached over TLS; without TLS when left out.")
        metadata = block.block("metadata", "How the brokers are asked what they have.")
        let producer: Producer = block.block("producer", "How records are sent.")
        partitioner = block.block("record_partitioner", "How records are shared among the partitions of a topic.")
        login = authentication.login
        kerberos = authentication.kerberos
        let given = tls ?? authentication.tls
        self.tls = given?.isInsecure == true ? nil : given
        maximumRecordBytes = producer.maximumRecordBytes
        maximumRequestBytes = producer.maximumRequestBytes
        acknowledgement = producer.acknowledgement
        compression = producer.compression
        compressionLevel = producer.compressionLevel
        maximumRecordsPerRequest = producer.maximumRecordsPerRequest
        createsTopics = producer.createsTopics
        linger = producer.linger
        let parts = protocolVersion.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        if block.isSet("protocol_version"), !(3...4).contains(parts.count) || parts.contains(nil) {
            block.reject("protocol_version", "must be a version such as \"2.1.0\"")
        }
        if brokers.isEmpty { block.reject("brokers", "must name at least one broker") }
        if canonical {
            block.reject("resolve_canonical_bootstrap_servers_only", "is not supported: name each broker in brokers")
        }
        if timeout < .zero { block.reject("timeout", "must not be negative") }
        if let problem = given.flatMap(Self.unsupported) { block.reject("tls", problem) }
    }

    /// What the Kafka client cannot do with TLS.
    private static func unsupported(_ tls: ClientTLS) -> String? {
        let settings = tls.settings
        if settings.serverName != nil { return "server_name is not supported: brokers are verified by their addresses" }
        if settings.minimumVersion != .tls12 || (settings.maximumVersion ?? .tls13) != .tls13 {
            return "min_version and max_version are not supported: TLS 1.2 and 1.3 are spoken"
        }
        if !settings.cipherSuites.isEmpty || !settings.curvePreferences.isEmpty {
            return "cipher_suites and curve_preferences are not supported"
        }
        if settings.reloadInterval != nil { return "reload_interval is not supported" }
        if settings.includesSystemRoots, settings.caPEM != nil || settings.caFile != nil {
            return "include_system_ca_certs_pool is not supported together with ca_pem or ca_file"
        }
        return nil
    }
}

/// The `producer` block.
private struct Producer: Block {
    let maximumRecordBytes: Int
    let maximumRequestBytes: Int
    let acknowledgement: KafkaProducerSettings.Acknowledgement
    let compression: String
    let compressionLevel: Int?
    let maximumRecordsPerRequest: Int
    let createsTopics: Bool
    let linger: Duration

    init(from block: inout BlockReader) {
        maximumRecordBytes = block.optional("max_message_bytes", default: 1_000_000, "The largest record sent.")
        maximumRequestBytes = block.optional(
            "max_broker_write_bytes", default: 104_857_600, "The largest request sent to a broker.")
        let acks = block.optional(
            "required_acks", default: 1, "Who must have a record: nobody (0), the leader (1) or all replicas (-1).")
        compression = block.optional("compression", default: "none", "`none`, `gzip`, `snappy`, `lz4` or `zstd`.")
        let parameters: CompressionParameters = block.block("compression_params", "How hard records are compressed.")
        maximumRecordsPerRequest = block.optional(
            "flush_max_messages", default: 10_000, "The most records in a request.")
        createsTopics = block.optional(
            "allow_auto_topic_creation", default: true, "Whether brokers may create topics that are not there.")
        linger = block.optional(
            "linger", default: Duration.milliseconds(10), "How long records wait for more to be sent with.")
        acknowledgement = KafkaProducerSettings.Acknowledgement(rawValue: acks) ?? .leader
        if KafkaProducerSettings.Acknowledgement(rawValue: acks) == nil {
            block.reject("required_acks", "must be one of -1, 0, 1")
        }
        let levels: ClosedRange<Int>
        switch compression {
        case "gzip": levels = -1...9
        case "zstd": levels = -1...11
        case "none", "snappy", "lz4": levels = 0...0
        default:
            levels = 0...0
            block.reject("compression", "must be one of none, gzip, snappy, lz4, zstd")
        }
        if !levels.contains(parameters.level) {
            let range =
                levels == 0...0
                ? "0: \(compression) has no levels" : "from \(levels.lowerBound) to \(levels.upperBound)"
            block.reject("compression_params", "level must be \(range)")
        }
        compressionLevel = parameters.level > 0 ? parameters.level : nil
        if !(1_000...1_000_000_000).contains(maximumRecordBytes) {
            block.reject("max_message_bytes", "must be from 1000 to 1000000000")
        }
        if !(104_857_600...2_147_483_647).contains(maximumRequestBytes) {
            block.reject("max_broker_write_bytes", "must be from 104857600 to 2147483647")
        } else if maximumRequestBytes < maximumRecordBytes {
            block.reject("max_message_bytes", "must not be more than max_broker_write_bytes")
        }
        if !(1...1_000_000).contains(maximumRecordsPerRequest) {
            block.reject("flush_max_messages", "must be from 1 to 1000000")
        }
        if linger < .zero || linger > .seconds(900) { block.reject("linger", "must be from 0s to 15m") }
    }

    private struct CompressionParameters: Block {
        let level: Int
        init(from block: inout BlockReader) {
            level = block.optional("level", default: 0, "The level; 0 and -1 are the codec's own.")
        }
    }
}

/// The `metadata` block.
struct KafkaMetadata: Block, Sendable, Equatable {
    /// Of all topics, not only of those written to.
    let isFull: Bool
    let refreshInterval: Duration
    /// How soon the leader of a partition is asked for again.
    let backoff: Duration

    init(from block: inout BlockReader) {
        isFull = block.optional("full", default: true, "Whether brokers are asked about all topics.")
        refreshInterval = block.optional(
            "refresh_interval", default: Duration.seconds(600), "How often brokers are asked.")
        let retry: Retry = block.block("retry", "When brokers are asked again after a failure.")
        backoff = retry.backoff
        if !(.milliseconds(10) ... .seconds(3_600)).contains(refreshInterval) {
            block.reject("refresh_interval", "must be from 10ms to 1h")
        }
    }

    private struct Retry: Block {
        let backoff: Duration

        init(from block: inout BlockReader) {
            let attempts = block.optional("max_retries", default: 3, "How often brokers are asked again.")
            backoff = block.optional("backoff", default: Duration.milliseconds(250), "How long is waited before.")
            if attempts != 3 {
                block.warn("max_retries", "has no effect: brokers are asked until they answer or the attempt is over")
            }
            if !(.milliseconds(1) ... .seconds(60)).contains(backoff) {
                block.reject("backoff", "must be from 1ms to 1m")
            }
        }
    }
}

/// Who the client is, by SASL.
struct KafkaLogin: Sendable, Equatable {
    let mechanism: String
    let username: String
    let password: Secret<String>
    /// The region of Amazon MSK whose tokens stand for the password; nil for a login with the password.
    var region: String?
}

/// Who the client is, by a ticket of Kerberos that `kinit` gets with the key of a keytab.
struct KafkaKerberos: Sendable, Equatable {
    let serviceName: String
    let principal: String
    let keytab: String
}

/// The `authentication` block.
private struct KafkaAuthentication: Block {
    let login: KafkaLogin?
    let kerberos: KafkaKerberos?
    let tls: ClientTLS?

    init(from block: inout BlockReader) {
        let plain: Plain? = block.optionalBlock("plaintext", "A name and a password.")
        let sasl: SASL? = block.optionalBlock("sasl", "A name and a password by a mechanism of SASL.")
        tls = block.optionalBlock("tls", "The same as `tls` of the component.")
        let kerberos: Kerberos? = block.optionalBlock("kerberos", "A ticket of Kerberos.")
        if plain != nil, sasl != nil { block.reject("plaintext", "cannot be set together with sasl") }
        if kerberos != nil, plain != nil || sasl != nil {
            block.reject("kerberos", "cannot be set together with plaintext or sasl")
        }
        self.kerberos = kerberos?.settings
        login =
            sasl?.login ?? plain.map { KafkaLogin(mechanism: "PLAIN", username: $0.username, password: $0.password) }
    }

    private struct Plain: Block {
        let username: String
        let password: Secret<String>

        init(from block: inout BlockReader) {
            username = block.required("username", "The name.")
            password = block.required("password", "The password.")
        }
    }

    private struct SASL: Block {
        let login: KafkaLogin?

        init(from block: inout BlockReader) {
            let username: String = block.required("username", "The name.")
            let password: Secret<String> = block.required(
                "password", "The password; tokens of AWS stand for it with `AWS_MSK_IAM_OAUTHBEARER`.")
            let mechanism: String = block.required(
                "mechanism",
                "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, or `AWS_MSK_IAM_OAUTHBEARER` for credentials of AWS.")
            let version = block.optional("version", default: 0, "The version of Kafka's handshake for SASL: 0 or 1.")
            let msk: MSK? = block.optionalBlock("aws_msk", "Amazon MSK.")
            let isMSK = mechanism == "AWS_MSK_IAM_OAUTHBEARER"
            login = KafkaLogin(
                mechanism: isMSK ? "OAUTHBEARER" : mechanism, username: username, password: password,
                region: isMSK ? msk?.region ?? "" : nil)
            switch mechanism {
            case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512": break
            case "AWS_MSK_IAM_OAUTHBEARER":
                if msk == nil { block.reject("mechanism", "needs a block aws_msk with the region") }
                // Who shows a token has a name, though brokers do not look at it.
                if username.isEmpty, block.isSet("username") { block.reject("username", "must not be empty") }
            case "AWS_MSK_IAM": block.reject("mechanism", "\"AWS_MSK_IAM\" is now \"AWS_MSK_IAM_OAUTHBEARER\"")
            default:
                if block.isSet("mechanism") {
                    block.reject(
                        "mechanism", "must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, AWS_MSK_IAM_OAUTHBEARER")
                }
            }
            if msk != nil, !isMSK {
                block.warn("aws_msk", "has no effect without the mechanism AWS_MSK_IAM_OAUTHBEARER")
            }
            if version != 0, version != 1 {
                block.reject("version", "must be 0 or 1")
            }
        }
    }

    private struct MSK: Block {
        let region: String

        init(from block: inout BlockReader) {
            region = block.required("region", "The region of the cluster.")
            // It becomes part of a host's name.
            let isPlain = region.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D
            }
            if block.isSet("region"), region.isEmpty || !isPlain {
                block.reject("region", "must be the name of a region such as eu-central-1")
            }
        }
    }

    private struct Kerberos: Block {
        let settings: KafkaKerberos

        init(from block: inout BlockReader) {
            let service = block.optional("service_name", default: "", "The name of the service.")
            let realm = block.optional("realm", default: "", "The realm.")
            let usesKeytab = block.optional("use_keytab", default: false, "Whether the key is in a file.")
            let username: String = block.required("username", "The name.")
            let password: Secret<String>? = block.optional("password", "The password.")
            let configuration = block.optional("config_file", default: "", "The configuration of Kerberos.")
            let keytab = block.optional("keytab_file", default: "", "The file with the key.")
            let isSlow = block.optional("disable_fast_negotiation", default: false, "Whether PA-FX-FAST is not used.")
            settings = KafkaKerberos(
                serviceName: service.isEmpty ? "kafka" : service,
                principal: realm.isEmpty ? username : "\(username)@\(realm)", keytab: keytab)
            if !usesKeytab {
                block.reject("use_keytab", "must be true: put the key into a file with ktutil and set keytab_file")
            } else if keytab.isEmpty {
                block.reject("keytab_file", "must be set with use_keytab")
            }
            if password != nil { block.reject("password", "is not supported: the key is in keytab_file") }
            if !["", "/etc/krb5.conf"].contains(configuration) {
                block.reject("config_file", "is not supported: set the environment variable KRB5_CONFIG")
            }
            if isSlow {
                block.reject("disable_fast_negotiation", "is not supported: set it in the configuration of Kerberos")
            }
            // They become words of kinit's command line, which a shell reads.
            for (name, text) in [
                ("service_name", service), ("realm", realm), ("username", username), ("keytab_file", keytab),
            ] where !text.utf8.allSatisfy(Self.isPlain) {
                block.reject(name, "may have letters, digits and any of ._-/@+ only")
            }
        }

        private static func isPlain(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: "._-/@+".utf8.contains(byte)
            }
        }
    }
}

/// The `record_partitioner` block.
struct KafkaPartitioning: Block, Sendable, Equatable {
    enum Strategy: Sendable, Equatable {
        /// By the FNV-1a hash of the key, as clients of Sarama have it.
        case fnv
        /// By the Murmur2 hash of the key, as Java's client has it.
        case murmur2
        case roundRobin
        /// The partition that waits for the fewest acknowledgements.
        case leastBackup
    }

    let strategy: Strategy

    init(from block: inout BlockReader) {
        let isRoundRobin = block.optional("round_robin", default: false, "Whether partitions take turns.")
        let isLeastBackup = block.optional(
            "least_backup", default: false, "Whether the partition with the fewest records under way is taken.")
        let sticky: StickyKey? = block.optionalBlock("sticky_key", "Partitions by the key of the record.")
        if isRoundRobin ? isLeastBackup || sticky != nil : isLeastBackup && sticky != nil {
            block.reject("only one of sticky_key, round_robin and least_backup can be set")
        }
        strategy = isRoundRobin ? .roundRobin : isLeastBackup ? .leastBackup : sticky?.strategy ?? .fnv
    }

    private struct StickyKey: Block {
        let strategy: Strategy

        init(from block: inout BlockReader) {
            let hasher = block.optional("hasher", default: "sarama_compat", "`sarama_compat` or `murmur2`.")
            strategy = hasher == "murmur2" ? .murmur2 : .fnv
            if hasher != "murmur2", hasher != "sarama_compat" {
                block.reject("hasher", "must be sarama_compat or murmur2")
            }
        }
    }
}
