import Essentials
import Telemetry
import TextFormats
import Transport
import Wire

/// Why a target cannot be scraped.
struct ScrapeTargetError: Error, CustomStringConvertible {
    let description: String
}

/// A target with the labels that its discovery and the component's arguments give it, checked, and the URL they name.
///
/// The labels follow Prometheus (`scrape/target.go`): defaults where the target has none, `__meta_` labels gone,
/// `instance` the address unless set. No port is added to an address without one; the scheme's is connected to.
struct ScrapeTarget: Sendable {
    /// What makes a target the same after a change of arguments: the labels its series get and where they come from.
    struct Identity: Hashable, Sendable {
        var labels: LabelSet
        var url: String
    }

    let identity: Identity
    let url: HTTPURL
    let interval: Duration
    let timeout: Duration
    let unixSocketPath: String?
    let convertsClassicHistograms: Bool
    let keepsClassicHistograms: Bool
    let scrapesNativeHistograms: Bool
    /// Reserved labels that say more about the target; empty unless metadata is asked for.
    let discoveredLabels: LabelSet

    /// The labels of every series of this target, without the reserved ones.
    var labels: LabelSet { identity.labels }

    init(
        _ target: Target, _ arguments: PrometheusScrape.Arguments, jobName: String, scratch: inout LabelSetBuilder
    ) throws(ScrapeTargetError) {
        scratch.reset(to: target.labels)
        Self.setDefaults(&scratch, arguments, jobName)
        guard let address = scratch.value(of: "__address__") else { throw ScrapeTargetError(description: "no address") }
        if address.contains("/") {
            throw ScrapeTargetError(description: "\"\(address)\" is not a valid hostname")
        }
        interval = try Self.duration(scratch, "__scrape_interval__", "scrape interval")
        timeout = try Self.duration(scratch, "__scrape_timeout__", "scrape timeout")
        if timeout > interval {
            throw ScrapeTargetError(description: "scrape timeout is greater than the scrape interval")
        }
        convertsClassicHistograms = try Self.flag(scratch, Self.convertLabel)
        keepsClassicHistograms = try Self.flag(scratch, Self.classicLabel)
        scrapesNativeHistograms = try Self.flag(scratch, Self.nativeLabel)
        unixSocketPath = scratch.value(of: "__unix_socket__")
        let text = Self.urlText(scratch, address, arguments.params)
        guard let url = HTTPURL(text) else { throw ScrapeTargetError(description: "\(text) is not a URL") }
        self.url = url
        discoveredLabels = arguments.options.collectsMetadata ? Self.discovered(scratch) : .empty
        if scratch.value(of: "instance") == nil { scratch.set("instance", to: address) }
        scratch.filter { name, _ in !(name.count >= 2 && name[0] == UInt8(ascii: "_") && name[1] == UInt8(ascii: "_")) }
        identity = Identity(labels: scratch.finish(), url: text)
    }

    /// Reserved labels that converters to other models turn into attributes of the target.
    private static let discoveredNames = [
        "__scheme__", "__meta_kubernetes_pod_name", "__meta_kubernetes_pod_uid",
        "__meta_kubernetes_pod_container_name", "__meta_kubernetes_namespace", "__meta_kubernetes_pod_node_name",
        "__meta_kubernetes_node_name", "__meta_kubernetes_endpoint_node_name",
        "__meta_kubernetes_pod_controller_name", "__meta_kubernetes_pod_controller_kind",
    ]

    private static func discovered(_ labels: LabelSetBuilder) -> LabelSet {
        LabelSet(discoveredNames.compactMap { name in labels.value(of: name).map { (name, $0) } })
    }

    private static let convertLabel = "__convert_classic_histograms_to_nhcb__"
    private static let classicLabel = "__always_scrape_classic_histograms__"
    private static let nativeLabel = "__scrape_native_histograms__"

    private static func setDefaults(
        _ labels: inout LabelSetBuilder, _ arguments: PrometheusScrape.Arguments, _ jobName: String
    ) {
        let defaults: [(String, String)] = [
            ("job", jobName),
            ("__scrape_interval__", PrometheusDuration.format(arguments.interval)),
            ("__scrape_timeout__", PrometheusDuration.format(arguments.timeout)),
            ("__metrics_path__", arguments.metricsPath),
            ("__scheme__", arguments.scheme),
            (convertLabel, "\(arguments.options.convertsClassicHistograms)"),
            (classicLabel, "\(arguments.options.keepsClassicHistograms)"),
            (nativeLabel, "\(arguments.options.scrapesNativeHistograms)"),
        ]
        for (name, value) in defaults where labels.value(of: name) == nil { labels.set(name, to: value) }
        for (name, values) in arguments.params {
            guard let first = values.first else { continue }
            let label = "__param_" + name
            if labels.value(of: label) == nil { labels.set(label, to: first) }
        }
    }

    private static func duration(
        _ labels: LabelSetBuilder, _ name: String, _ what: String
    ) throws(ScrapeTargetError) -> Duration {
        let text = labels.value(of: name) ?? ""
        let duration: Duration
        do {
            duration = try PrometheusDuration.parse(text)
        } catch {
            throw ScrapeTargetError(description: "invalid \(what) \"\(text)\": \(error)")
        }
        if duration <= .zero { throw ScrapeTargetError(description: "\(what) cannot be 0") }
        return duration
    }

    /// A boolean as Go's `strconv.ParseBool` reads it.
    private static func flag(_ labels: LabelSetBuilder, _ name: String) throws(ScrapeTargetError) -> Bool {
        let text = labels.value(of: name) ?? "false"
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default: throw ScrapeTargetError(description: "label \(name) is not a boolean: \"\(text)\"")
        }
    }

    /// The URL with its parameters sorted by name, those of labels in the place of the first of the arguments.
    private static func urlText(
        _ labels: LabelSetBuilder, _ address: String, _ params: [String: [String]]
    ) -> String {
        var query = params.filter { !$0.value.isEmpty }
        labels.forEach { name, value in
            let name = String(decoding: name, as: UTF8.self)
            guard name.hasPrefix("__param_") else { return }
            let key = String(name.dropFirst(8))
            let text = String(decoding: value, as: UTF8.self)
            if query[key] == nil { query[key] = [text] } else { query[key]?[0] = text }
        }
        let scheme = labels.value(of: "__scheme__") ?? "http"
        var path = Percent.encode(labels.value(of: "__metrics_path__") ?? "/", keeping: "$&+,/:;=@")
        if !path.hasPrefix("/") { path = "/" + path }
        let items = query.sorted { $0.key < $1.key }.flatMap { key, values in values.map { (name: key, value: $0) } }
        return "\(scheme)://\(address)\(path)" + (items.isEmpty ? "" : "?" + Percent.form(items))
    }
}

/// How the labels of a target come to the series it exposes.
enum TargetLabels {
    /// A mapper that adds the target's labels: where a series has one of the same name, it keeps it when `honors`, else
    /// its own moves to `exported_<name>`. Then the rules are applied; series they drop are left out.
    static func mapper(
        _ target: LabelSet, honors: Bool, relabeling: Relabeling
    ) -> @Sendable (inout LabelSetBuilder) -> Bool {
        { series in
            if honors {
                target.forEach { name, value in
                    if series.withValue(of: name, { $0 == nil }) { series.set(name, to: value) }
                }
            } else {
                replace(&series, target)
            }
            return relabeling.isEmpty || relabeling.apply(to: &series)
        }
    }

    private static func replace(_ series: inout LabelSetBuilder, _ target: LabelSet) {
        var conflicts: [(name: String, value: String)] = []
        target.forEach { name, value in
            series.withValue(of: name) { exposed in
                guard let exposed else { return }
                conflicts.append((String(decoding: name, as: UTF8.self), String(decoding: exposed, as: UTF8.self)))
            }
            series.set(name, to: value)
        }
        // Shorter names first: `exported_a` of the series makes way for the `a` that moves there.
        for conflict in conflicts.enumerated().sorted(by: {
            ($0.element.name.utf8.count, $0.offset) < ($1.element.name.utf8.count, $1.offset)
        }) {
            var name = "exported_" + conflict.element.name
            while series.value(of: name) != nil { name = "exported_" + name }
            series.set(name, to: conflict.element.value)
        }
    }

    /// The labels of a series about the scrapes of a target.
    static func report(_ name: String, _ target: LabelSet) -> LabelSet {
        var builder = LabelSetBuilder(target)
        builder.set("__name__", to: name)
        return builder.finish()
    }
}
