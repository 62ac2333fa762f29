package import AlloySyntax
import ComponentKit
package import Essentials
import Telemetry
import Transport
package import Wire

extension PrometheusRemoteWrite {
    package struct Arguments: Block {
        let externalLabels: LabelSet
        let endpoints: [Endpoint]
        let wal: WAL

        package init(from block: inout BlockReader) {
            externalLabels = block.optional("external_labels", "Labels added to series that lack them.") ?? .empty
            endpoints = block.blocks("endpoint", "A destination; each gets every sample.")
            wal = block.block("wal", "How long samples are kept on disk for endpoints that do not take them.")
            var seen: Set<String> = []
            for endpoint in endpoints where !endpoint.name.isEmpty && !seen.insert(endpoint.name).inserted {
                block.reject("endpoint", "name \"\(endpoint.name)\" is used more than once")
            }
        }
    }

    /// An `endpoint` block.
    package struct Endpoint: Block, Equatable {
        let name: String
        let url: HTTPURL?
        let remoteTimeout: Duration
        let headers: [String: String]
        let sendExemplars: Bool
        let sendNativeHistograms: Bool
        let version: RemoteWriteVersion
        let client: HTTPClientSettings
        let queue: Queue
        let metadata: Metadata
        let relabeling: Relabeling

        package init(from block: inout BlockReader) {
            name = block.optional("name", default: "", "Name of the endpoint in metrics and on disk.")
            let text: String = block.required("url", "URL samples are sent to.")
            remoteTimeout = block.optional(
                "remote_timeout", default: Duration.seconds(30), "Time a request may take.")
            headers = block.optional("headers", "Header fields added to every request.") ?? [:]
            sendExemplars = block.optional("send_exemplars", default: true, "Whether exemplars are sent.")
            sendNativeHistograms = block.optional(
                "send_native_histograms", default: false, "Whether native histograms are sent.")
            version = block.optional(
                "protobuf_message", default: RemoteWriteVersion.v1,
                "Message of the requests: `prometheus.WriteRequest` or `io.prometheus.write.v2.Request`.")
            var settings = HTTPClientArguments(from: &block, http2: false).settings
            settings.usesRoundRobinDNS = block.optional(
                "round_robin_dns", default: false, "Whether each connection takes one of the host's addresses.")
            let queue: Queue? = block.optionalBlock("queue_config", "How requests are cut, sent and repeated.")
            let metadata: Metadata? = block.optionalBlock("metadata_config", "How metadata of families is sent.")
            relabeling = RelabelRuleArguments.read(
                "write_relabel_config", "A rule applied to series before they are queued.", from: &block)
            let sigv4: SigV4? = block.optionalBlock("sigv4", "Signs requests with AWS Signature Version 4.")
            let azure: AzureAD? = block.optionalBlock("azuread", "Authenticates with Microsoft Entra ID.")
            let google: GoogleIAM? = block.optionalBlock("google_iam", "Authenticates with Google Cloud IAM.")
            var ways = settings.authorisation == .none ? 0 : 1
            for isGiven in [sigv4 != nil, azure != nil, google != nil] where isGiven { ways += 1 }
            if ways > 1 {
                block.reject(
                    "at most one of sigv4, azuread, google_iam, basic_auth, oauth2, bearer_token & bearer_token_file "
                        + "must be configured")
            }
            if let sigv4 { settings.authorisation = .sigV4(sigv4.settings) }
            if let azure = azure?.settings { settings.authorisation = .azureAD(azure) }
            if let google { settings.authorisation = .googleIAM(google.settings) }
            url = HTTPURL(text)
            if block.isSet("url"), url.map({ $0.scheme != "http" && $0.scheme != "https" }) ?? true {
                block.reject("url", "must be an absolute http or https URL")
            }
            for (name, value) in headers where !HTTPFields.isValid(name: name, value: value) {
                block.reject("headers", "has an invalid field \"\(name)\"")
            }
            if remoteTimeout <= .zero { block.reject("remote_timeout", "must be positive") }
            client = settings
            self.queue = queue ?? Queue.standard
            self.metadata = metadata ?? Metadata.standard
        }
    }

    /// A `queue_config` block.
    package struct Queue: Block, Equatable {
        var capacity = 10_000
        var minimumShards = 1
        var maximumShards = 50
        var samplesPerSend = 2000
        var sendDeadline = Duration.seconds(5)
        var minimumBackoff = Duration.milliseconds(30)
        var maximumBackoff = Duration.seconds(5)
        var retriesOn429 = true
        var sampleAgeLimit = Duration.zero

        static let standard = Queue()

        private init() {}

        package init(from block: inout BlockReader) {
            capacity = block.optional("capacity", default: 10_000, "Samples a shard holds in memory.")
            maximumShards = block.optional("max_shards", default: 50, "Most requests in flight.")
            minimumShards = block.optional("min_shards", default: 1, "Fewest shards, and how many there are at first.")
            samplesPerSend = block.optional("max_samples_per_send", default: 2000, "Most samples in a request.")
            sendDeadline = block.optional(
                "batch_send_deadline", default: Duration.seconds(5), "How long a sample waits for a request to fill.")
            minimumBackoff = block.optional(
                "min_backoff", default: Duration.milliseconds(30), "Wait before the first repetition; doubles.")
            maximumBackoff = block.optional(
                "max_backoff", default: Duration.seconds(5), "Longest wait before a repetition.")
            retriesOn429 = block.optional(
                "retry_on_http_429", default: true, "Whether requests refused with status 429 are repeated.")
            sampleAgeLimit = block.optional(
                "sample_age_limit", default: Duration.zero, "Age at which samples are dropped; 0 is never.")
            if capacity < 1 { block.reject("capacity", "must be at least 1") }
            if minimumShards < 1 { block.reject("min_shards", "must be at least 1") }
            if maximumShards < minimumShards { block.reject("max_shards", "must not be less than min_shards") }
            if maximumShards > 1000 { block.reject("max_shards", "must be at most 1000") }
            if samplesPerSend < 1 { block.reject("max_samples_per_send", "must be at least 1") }
            if sendDeadline <= .zero { block.reject("batch_send_deadline", "must be positive") }
            if minimumBackoff < .zero { block.reject("min_backoff", "must not be negative") }
            if maximumBackoff < minimumBackoff { block.reject("max_backoff", "must not be less than min_backoff") }
            if sampleAgeLimit < .zero { block.reject("sample_age_limit", "must not be negative") }
        }
    }

    /// A `metadata_config` block.
    package struct Metadata: Block, Equatable {
        var isSent = true
        var interval = Duration.seconds(60)
        var familiesPerSend = 2000

        static let standard = Metadata()

        private init() {}

        package init(from block: inout BlockReader) {
            isSent = block.optional("send", default: true, "Whether metadata is sent.")
            interval = block.optional(
                "send_interval", default: Duration.seconds(60),
                "How often all metadata is sent; with protobuf_message 2.0 it travels with the series instead.")
            familiesPerSend = block.optional(
                "max_samples_per_send", default: 2000, "Most metric families in a metadata request.")
            if interval <= .zero { block.reject("send_interval", "must be positive") }
            if familiesPerSend < 1 { block.reject("max_samples_per_send", "must be at least 1") }
        }
    }

    /// A `wal` block.
    package struct WAL: Block, Equatable {
        let truncateFrequency: Duration
        let minimumKeepalive: Duration
        let maximumKeepalive: Duration

        package init(from block: inout BlockReader) {
            truncateFrequency = block.optional(
                "truncate_frequency", default: Duration.seconds(7200),
                "How often files past max_keepalive_time are deleted.")
            minimumKeepalive = block.optional(
                "min_keepalive_time", default: Duration.seconds(300),
                "Samples younger than this are not given up when the disk space for the queue is used up.")
            maximumKeepalive = block.optional(
                "max_keepalive_time", default: Duration.seconds(28_800),
                "Samples older than this are given up when they could not be sent.")
            if truncateFrequency <= .zero { block.reject("truncate_frequency must not be 0") }
            if maximumKeepalive <= minimumKeepalive {
                block.reject("min_keepalive_time must be smaller than max_keepalive_time")
            }
        }
    }

    /// A `sigv4` block.
    struct SigV4: Block {
        let settings: SigV4Settings

        init(from block: inout BlockReader) {
            var made = SigV4Settings()
            made.region = block.nonEmpty("region", "AWS region; taken from the environment or profile unless given.")
            made.accessKey = block.nonEmpty("access_key", "Access key.")
            let secret: Secret<String>? = block.optional("secret_key", "Secret of the access key.")
            made.secretKey = secret.flatMap { $0.isEmpty ? nil : $0 }
            made.profile = block.nonEmpty("profile", "Profile of the shared credentials file.")
            made.roleARN = block.nonEmpty("role_arn", "Role to assume.")
            made.externalID = block.nonEmpty("external_id", "External ID sent when assuming the role.")
            made.usesFIPSEndpoint = block.optional(
                "use_fips_sts_endpoint", default: false, "Whether the FIPS endpoint of STS is used.")
            made.service = block.optional("service_name", default: "aps", "Service the requests are signed for.")
            if (made.accessKey == nil) != (made.secretKey == nil) {
                block.reject("must provide a AWS SigV4 Access key and Secret Key")
            }
            settings = made
        }
    }
}

extension RemoteWriteVersion: AlloyWord {
    package static var placeholder: RemoteWriteVersion { .v1 }
}

extension PrometheusRemoteWrite.Arguments: MemoryDemanding {
    /// For each endpoint a window of its queue and, for each shard there always is, one full request.
    package var minimumMemory: ByteCount {
        ByteCount(
            bytes: endpoints.reduce(0) { sum, endpoint in
                let queue = endpoint.queue
                return sum + 1 << 20 + min(queue.minimumShards, 1024) * min(queue.samplesPerSend, 1 << 24) * 64
            })
    }
}
