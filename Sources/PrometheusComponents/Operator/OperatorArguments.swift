import AlloySyntax
import ComponentKit
import Kubernetes
import KubernetesKit
import Telemetry
import Wire

/// The arguments of every `prometheus.operator.*` component.
struct OperatorArguments: Sendable {
    let forwardTo: Fanout<MetricBatch>
    /// Where monitors are looked for; empty is everywhere.
    let namespaces: [String]
    let connection: KubernetesConnection
    let selector: LabelSelector
    let syncTimeout: Duration
    /// Rules applied before those of a monitor.
    let rules: [RelabelRule]
    let scrape: OperatorScrapeArguments
    /// What service monitors find their targets by.
    let role: DiscoveryRole
    let allowsFiles: Bool

    init(from block: inout BlockReader, kind: MonitorKind) {
        forwardTo = block.required("forward_to", "Receivers the samples are sent to.")
        namespaces = block.optional("namespaces", "Namespaces whose objects are used; empty is all of them.") ?? []
        syncTimeout = block.optional(
            "informer_sync_timeout", default: Duration.seconds(60), "How long the first list of objects may take.")
        if kind == .serviceMonitors {
            let word = block.optional(
                "kubernetes_role", default: "endpoints",
                "What targets are found by: `endpoints` or `endpointslice`.")
            role = word == "endpointslice" ? .endpointslice : .endpoints
            if word != "endpoints", word != "endpointslice" {
                block.reject("kubernetes_role", "must be \"endpoints\" or \"endpointslice\"")
            }
            allowsFiles = block.optional(
                "allow_arbitrary_file_access", default: false,
                "Whether monitors may name files of this process, such as tokens and keys.")
        } else {
            let word: String? = block.optional("kubernetes_role", "Has no effect for objects of this kind.")
            if let word, !word.isEmpty { block.warn("kubernetes_role", "has no effect for objects of this kind") }
            role = .pod
            allowsFiles = false
        }
        let client: KubernetesClientArguments = block.block("client", "How the Kubernetes API is reached.")
        connection = client.connection
        let selector: LabelSelectorArguments? = block.optionalBlock("selector", "Which objects are used.")
        self.selector = selector?.selector ?? LabelSelector()
        let _: KubernetesClusteringArguments = block.block(
            "clustering", "Sharing of targets among cluster nodes.")
        rules =
            RelabelRuleArguments.read("rule", "A rule applied to targets before the object's own.", from: &block)
            .rules
        scrape = block.block("scrape", "Defaults of the scrapes.")
        if syncTimeout <= .zero { block.reject("informer_sync_timeout", "must be greater than 0") }
    }

    /// What is watched anew when it changes.
    struct Watched: Sendable, Equatable {
        var namespaces: Set<String>
        var connection: KubernetesConnection
        var selector: LabelSelector
        var syncTimeout: Duration
    }

    var watched: Watched {
        Watched(
            namespaces: Set(namespaces), connection: connection, selector: selector, syncTimeout: syncTimeout)
    }
}

/// The `scrape` block.
struct OperatorScrapeArguments: Block, Sendable, Equatable {
    let interval: Duration
    let timeout: Duration
    let sampleLimit: UInt
    let options: ExpositionOptions

    init(from block: inout BlockReader) {
        let interval = block.optional(
            "default_scrape_interval", default: Duration.seconds(60), "Interval of objects that name none.")
        let timeout = block.optional(
            "default_scrape_timeout", default: Duration.seconds(10), "Timeout of objects that name none.")
        sampleLimit = block.optional("default_sample_limit", "Sample limit of objects that name none.") ?? 0
        // As upstream, nothing is the default.
        self.interval = interval == .zero ? .seconds(60) : interval
        self.timeout = timeout == .zero ? .seconds(10) : timeout
        var options = ExpositionOptions()
        options.scrapesNativeHistograms = block.optional(
            "scrape_native_histograms", default: false, "Whether native histograms are scraped.")
        options.keepsClassicHistograms = block.optional(
            "scrape_classic_histograms", default: false,
            "Whether the classic form of a histogram is scraped beside its native one.")
        options.convertsClassicHistograms = block.optional(
            "convert_classic_histograms_to_nhcb", default: false,
            "Whether classic histograms are turned into native ones with custom buckets.")
        let buckets = block.optional(
            "native_histogram_bucket_limit", default: UInt(0),
            "Buckets above which a native histogram's resolution is reduced; 0 is without limit.")
        options.limits.histogramBuckets = Int(clamping: buckets)
        let factor = block.optional(
            "native_histogram_min_bucket_factor", default: 0.0,
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
        self.options = options
        if self.timeout > self.interval {
            block.reject("default_scrape_timeout", "must not be greater than default_scrape_interval")
        }
        if interval < .zero { block.reject("default_scrape_interval", "must not be negative") }
        if timeout < .zero { block.reject("default_scrape_timeout", "must not be negative") }
    }
}
