package import AlloySyntax
import ComponentKit
package import Essentials
import Telemetry
import Transport
import Wire

extension PrometheusScrape {
    package struct Arguments: Block, Sendable {
        var targets: [Target]
        /// What became the targets, in the same order, where rules of a job came between; otherwise empty.
        var discovered: [Target] = []
        let forwardTo: Fanout<MetricBatch>
        /// Nil for the component's ID.
        let jobName: String?
        let honorLabels: Bool
        let params: [String: [String]]
        let failureLogFile: String?
        let interval: Duration
        let timeout: Duration
        let protocols: [ScrapeProtocol]
        let fallbackProtocol: ScrapeProtocol?
        let escaping: EscapingScheme
        let metricsPath: String
        let scheme: String
        let targetLimit: UInt
        let reportsExtraMetrics: Bool
        let isCompressionEnabled: Bool
        let client: HTTPClientSettings
        let isClustered: Bool
        /// How answers are read; the target's labels may override its choices about histograms.
        let options: ExpositionOptions
        /// Rules for the labels of series, with those of their target; only jobs of monitors have some.
        let metricRelabeling: Relabeling

        package init(from block: inout BlockReader) {
            targets = block.required("targets", "Targets to scrape.")
            forwardTo = block.required("forward_to", "Receivers the samples are sent to.")
            jobName = block.nonEmpty(
                "job_name", "Value of the `job` label of targets that have none.",
                defaultProse: "the component's ID")
            honorLabels = block.optional(
                "honor_labels", default: false, "Whether labels of a sample win over equal ones of its target.")
            var options = ExpositionOptions()
            options.honorsTimestamps = block.optional(
                "honor_timestamps", default: true, "Whether timestamps that targets expose are used.")
            options.tracksTimestampStaleness = block.optional(
                "track_timestamps_staleness", default: false,
                "Whether series with timestamps of their own are marked stale when they vanish.")
            params = block.optional("params", "Query parameters of the scrape.") ?? [:]
            options.keepsClassicHistograms = block.optional(
                "scrape_classic_histograms", default: false,
                "Whether the classic form of a histogram is scraped beside its native one.")
            let wantsNative: Bool = block.optional(
                "scrape_native_histograms", default: false, "Whether native histograms are scraped.")
            failureLogFile = block.nonEmpty(
                "scrape_failure_log_file", "File to which failed scrapes are logged, one JSON object a line.")
            interval = block.optional(
                "scrape_interval", default: Duration.seconds(60), "How often each target is scraped.")
            timeout = block.optional(
                "scrape_timeout", default: Duration.seconds(10), "How long a scrape may take.")
            let given: [String] = block.optional(
                "scrape_protocols", default: ScrapeProtocol.standard.map(\.rawValue),
                "Protocols asked for, most wanted first.")
            metricsPath = block.optional("metrics_path", default: "/metrics", "Path of the page scraped.")
            scheme = block.optional("scheme", default: "http", "Scheme of the URL scraped.")
            let bodyLimit: ByteCount? = block.optional(
                "body_size_limit", "Size of an uncompressed answer from which on a scrape fails; 0 is without limit.")
            options.limits.bodyBytes = bodyLimit?.bytes ?? 0
            options.limits.samples = Self.limit(
                "sample_limit", "Samples above which a scrape fails; 0 is without limit.", &block)
            targetLimit = UInt(
                Self.limit("target_limit", "Targets above which every scrape fails; 0 is without limit.", &block))
            options.limits.labels = Self.limit(
                "label_limit", "Labels of a series above which a scrape fails; 0 is without limit.", &block)
            options.limits.labelNameLength = Self.limit(
                "label_name_length_limit",
                "Bytes of a label name above which a scrape fails; 0 is without limit.", &block)
            options.limits.labelValueLength = Self.limit(
                "label_value_length_limit",
                "Bytes of a label value above which a scrape fails; 0 is without limit.", &block)
            var client = HTTPClientArguments(from: &block).settings
            // The reader counts the body itself, and a scrape without limit has none.
            client.maximumBodyBytes = ByteCount(bytes: Int.max >> 2)
            self.client = client
            reportsExtraMetrics = block.optional(
                "extra_metrics", default: false,
                "Whether timeout, sample limit and body size of each scrape are reported as series.")
            let negotiatesProtobuf: Bool = block.optional(
                "enable_protobuf_negotiation", default: false,
                "Whether protobuf is asked for first and native histograms are scraped.", deprecated: true)
            let validation: String = block.optional(
                "metric_name_validation_scheme", default: NameValidation.legacy.rawValue,
                "Which metric and label names are valid: `legacy` or `utf8`.")
            let escaping: String = block.optional(
                "metric_name_escaping_scheme", default: EscapingScheme.underscores.rawValue,
                "How targets are asked to write names that are not plain; where names are validated as `utf8` and "
                    + "nothing is given, `allow-utf-8`.")
            let isEscapingGiven = block.isSet("metric_name_escaping_scheme") && !escaping.isEmpty
            let fallback: String = block.optional(
                "scrape_fallback_protocol", default: ScrapeProtocol.prometheusText004.rawValue,
                "Protocol assumed when the answer does not say which it is.")
            options.convertsClassicHistograms = block.optional(
                "convert_classic_histograms_to_nhcb", default: false,
                "Whether classic histograms are turned into native ones with custom buckets.")
            isCompressionEnabled = block.optional(
                "enable_compression", default: true, "Whether compressed answers are asked for.")
            options.limits.histogramBuckets = Self.limit(
                "native_histogram_bucket_limit",
                "Buckets above which a native histogram's resolution is reduced; 0 is without limit.", &block,
                default: 0)
            let factor: Double = block.optional(
                "native_histogram_min_bucket_factor", default: 0,
                "Least growth from one bucket to the next; finer native histograms are reduced to it.")
            options.limits.histogramSchema = ExpositionLimits.schema(forMinimumBucketFactor: factor)
            options.collectsMetadata = block.optional(
                "honor_metadata", default: false, "Whether type, help and unit of metrics are sent along.",
                stability: .experimental)
            options.addsTypeAndUnitLabels = block.optional(
                "enable_type_and_unit_labels", default: false, "Whether type and unit become labels of the series.",
                stability: .experimental)
            options.readsStartTimestamps = block.optional(
                "start_timestamp_zero_ingestion", default: false,
                "Whether start times are read, and a sample of zero is sent at each.", stability: .experimental)
            options.injectsZeroSamples = options.readsStartTimestamps
            let clustering: Clustering = block.block("clustering", "Sharing of targets among cluster nodes.")
            isClustered = clustering.isEnabled
            metricRelabeling = Relabeling([])

            if timeout > interval {
                block.reject("scrape_timeout", "must not be greater than scrape_interval (\(interval))")
            }
            let choice = Self.protocols(given, wantsNative, negotiatesProtobuf, &block)
            protocols = choice.protocols
            options.scrapesNativeHistograms = choice.isNative
            fallbackProtocol = fallback.isEmpty ? nil : ScrapeProtocol(rawValue: fallback)
            if !fallback.isEmpty, fallbackProtocol == nil {
                block.reject("scrape_fallback_protocol", "is unknown: \(Self.names(ScrapeProtocol.self))")
            }
            (options.nameValidation, self.escaping) = Self.schemes(
                validation, isEscapingGiven ? escaping : "", &block)
            self.options = options
        }

        /// The arguments of a job that is not configured as a block of its own.
        init(job: ScrapeJobSettings, forwardTo: Fanout<MetricBatch>) {
            targets = []
            self.forwardTo = forwardTo
            jobName = job.name
            honorLabels = job.honorsLabels
            params = job.params
            failureLogFile = nil
            interval = job.interval
            timeout = job.timeout
            protocols = job.protocols
            fallbackProtocol = .prometheusText004
            escaping = .underscores
            metricsPath = job.metricsPath
            scheme = job.scheme
            targetLimit = job.targetLimit
            reportsExtraMetrics = false
            isCompressionEnabled = job.isCompressionEnabled
            var client = job.client
            client.maximumBodyBytes = ByteCount(bytes: Int.max >> 2)
            self.client = client
            isClustered = false
            options = job.options
            metricRelabeling = job.metricRelabeling
        }

        private static func limit(
            _ name: String, _ doc: String, _ block: inout BlockReader, default fallback: UInt? = nil
        ) -> Int {
            let value: UInt
            if let fallback {
                value = block.optional(name, default: fallback, doc)
            } else {
                value = block.optional(name, doc) ?? 0
            }
            return Int(clamping: value)
        }

        /// The protocols asked for and whether native histograms are scraped.
        private static func protocols(
            _ given: [String], _ wantsNative: Bool, _ negotiatesProtobuf: Bool, _ block: inout BlockReader
        ) -> (protocols: [ScrapeProtocol], isNative: Bool) {
            var protocols: [ScrapeProtocol] = []
            for name in given {
                guard let known = ScrapeProtocol(rawValue: name) else {
                    block.reject("scrape_protocols", "has an unknown \(name): \(names(ScrapeProtocol.self))")
                    continue
                }
                if protocols.contains(known) { block.reject("scrape_protocols", "has \(name) twice") }
                protocols.append(known)
            }
            let isStandard = protocols == ScrapeProtocol.standard
            if negotiatesProtobuf, !isStandard {
                block.reject("enable_protobuf_negotiation", "and scrape_protocols exclude each other")
            }
            let isNative = wantsNative || negotiatesProtobuf
            if isNative, isStandard { protocols = ScrapeProtocol.protobufFirst }
            if isNative, !protocols.contains(.prometheusProtobuf) {
                block.reject("scrape_native_histograms", "needs PrometheusProto among scrape_protocols")
            }
            return (protocols, isNative)
        }

        private static func schemes(
            _ validation: String, _ escaping: String, _ block: inout BlockReader
        ) -> (NameValidation, EscapingScheme) {
            let names = NameValidation(rawValue: validation)
            if names == nil { block.reject("metric_name_validation_scheme", "must be \"legacy\" or \"utf8\"") }
            if escaping.isEmpty { return (names ?? .legacy, names == .utf8 ? .allowUTF8 : .underscores) }
            guard let scheme = EscapingScheme(rawValue: escaping) else {
                block.reject("metric_name_escaping_scheme", "is unknown: \(Self.names(EscapingScheme.self))")
                return (names ?? .legacy, .underscores)
            }
            if scheme == .allowUTF8, names == .legacy {
                block.reject(
                    "metric_name_escaping_scheme",
                    "cannot be \"allow-utf-8\" unless metric_name_validation_scheme is \"utf8\"")
            }
            return (names ?? .legacy, scheme)
        }

        private static func names<Choice: CaseIterable & RawRepresentable>(_: Choice.Type) -> String
        where Choice.RawValue == String {
            "supported are " + Choice.allCases.map(\.rawValue).joined(separator: ", ")
        }
    }

    /// The `clustering` block.
    struct Clustering: Block {
        let isEnabled: Bool

        init(from block: inout BlockReader) {
            isEnabled = block.required("enabled", "Whether targets are shared among the nodes of the cluster.")
        }
    }
}

extension PrometheusScrape.Arguments: MemoryDemanding {
    /// One small scrape.
    package var minimumMemory: ByteCount { .kibibytes(64) }
}
