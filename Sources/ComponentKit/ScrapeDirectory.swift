import Synchronization
package import Telemetry

/// Who scrapes targets, and who drops some before they are scraped: what the console's page of targets asks.
package final class ScrapeDirectory: Sendable {
    private struct Entry {
        weak var source: (any ScrapeSource)?
    }

    private let entries = Mutex<[ObjectIdentifier: Entry]>([:])

    package init() {}

    /// Lists `source` from now on, for as long as it exists or until ``remove(_:)``.
    package func add(_ source: any ScrapeSource) {
        entries.withLock { entries in
            entries = entries.filter { $0.value.source != nil }
            entries[ObjectIdentifier(source)] = Entry(source: source)
        }
    }

    package func remove(_ source: any ScrapeSource) {
        _ = entries.withLock { $0.removeValue(forKey: ObjectIdentifier(source)) }
    }

    /// Everything listed now, by component and name.
    package var sources: [any ScrapeSource] {
        entries.withLock { $0.values.compactMap(\.source) }
            .sorted { ($0.componentID, $0.jobName) < ($1.componentID, $1.jobName) }
    }
}

/// What has targets: a component that scrapes them, one of its jobs, or a component that drops some on their way there.
package protocol ScrapeSource: AnyObject, Sendable {
    var componentID: String { get }
    /// The job, where a component has several; empty otherwise.
    var jobName: String { get }
    /// Whether targets are scraped here; otherwise they are only dropped.
    var isScraping: Bool { get }

    /// The targets as they are now, in the order of the configuration.
    var targetReports: [TargetReport] { get }

    /// Targets that rules dropped here, at most `limit` of them. Computed when asked for: rules run on every target.
    func droppedTargets(limit: Int) -> DroppedTargets

    /// Asks the target named `id` for its page as a scrape would; nil when there is none of that name.
    func response(of id: String, upTo bytes: Int) async -> TargetResponse?
}

extension ScrapeSource {
    package var jobName: String { "" }
    package var isScraping: Bool { false }
    package var targetReports: [TargetReport] { [] }
    package func droppedTargets(limit: Int) -> DroppedTargets { DroppedTargets() }
    package func response(of id: String, upTo bytes: Int) async -> TargetResponse? { nil }
}

/// One target and how its last scrape went.
package struct TargetReport: Sendable {
    /// Names the target within its source.
    package var id: String
    package var job: String
    package var url: String
    /// `up`, `down` or `unknown`.
    package var health: String
    /// As discovered, before rules and without defaults.
    package var discoveredLabels: LabelSet
    /// As its series have them.
    package var labels: LabelSet
    package var lastError: String
    /// Nanoseconds since 1970; nil before the first scrape.
    package var lastScrape: Int64?
    /// Nanoseconds since 1970; nil when none is planned.
    package var nextScrape: Int64?
    package var lastDuration: Duration
    package var lastSamples: Int
    /// Of the last body, decompressed.
    package var lastBytes: Int
    package var interval: Duration
    package var timeout: Duration

    package init(
        id: String, job: String, url: String, health: String, discoveredLabels: LabelSet, labels: LabelSet,
        lastError: String, lastScrape: Int64?, nextScrape: Int64?, lastDuration: Duration, lastSamples: Int,
        lastBytes: Int, interval: Duration, timeout: Duration
    ) {
        self.id = id
        self.job = job
        self.url = url
        self.health = health
        self.discoveredLabels = discoveredLabels
        self.labels = labels
        self.lastError = lastError
        self.lastScrape = lastScrape
        self.nextScrape = nextScrape
        self.lastDuration = lastDuration
        self.lastSamples = lastSamples
        self.lastBytes = lastBytes
        self.interval = interval
        self.timeout = timeout
    }
}

/// Targets that rules dropped.
package struct DroppedTargets: Sendable {
    package struct Item: Sendable {
        package var labels: LabelSet
        /// Counted from one.
        package var ruleNumber: Int
        /// The rule in words.
        package var rule: String
    }

    /// The first of them.
    package private(set) var items: [Item] = []
    /// All of them.
    package private(set) var total = 0

    package init() {}

    /// Runs `rules` on `labels`, given in `builder` as the rules see them, and notes the target when they drop it.
    package mutating func note(
        _ labels: LabelSet, as builder: inout LabelSetBuilder, by rules: Relabeling, limit: Int
    ) {
        guard let index = rules.firstDrop(&builder) else { return }
        total += 1
        guard items.count < limit else { return }
        items.append(Item(labels: labels, ruleNumber: index + 1, rule: Self.words(rules.rules[index])))
    }

    private static func words(_ rule: RelabelRule) -> String {
        let sources = "[" + rule.sourceLabels.joined(separator: ", ") + "]"
        return switch rule.action {
        case .keepequal, .dropequal: "\(rule.action.rawValue) \(sources) target_label \(rule.targetLabel)"
        default: "\(rule.action.rawValue) \(sources) regex \(rule.pattern)"
        }
    }
}

/// What a target answered.
package struct TargetResponse: Sendable {
    /// Why there is no answer, or not all of it; empty when there is nothing to tell.
    package var problem = ""
    /// Zero when there was no answer.
    package var status = 0
    package var contentType = ""
    /// The beginning of the body, decompressed.
    package var body: [UInt8] = []
    /// Whether the body goes on.
    package var isTruncated = false
    package var duration = Duration.zero

    package init() {}
}
