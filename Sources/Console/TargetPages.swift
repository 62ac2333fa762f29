import ComponentKit
import Essentials
import Runtime
import Synchronization
import Telemetry
import Transport

/// What the page of targets asks for: every target, one target's labels, what it answers, and what was dropped before.
final class TargetPages: Sendable {
    /// Dropped targets that are told; further ones are counted.
    private static let droppedLimit = 1_000
    /// Bytes of an answer that are shown.
    private static let answerLimit = 1 << 20
    /// Targets that are asked for their pages at a time, whoever looks.
    private static let askedAtOnce = 4

    private let runtime: Runtime
    private let services: EngineServices
    private let asked = Atomic<Int>(0)

    init(runtime: Runtime, services: EngineServices) {
        self.runtime = runtime
        self.services = services
    }

    func add(to router: inout BrowserGuard, _ api: String) {
        router.on(.get, api + "targets") { [self] _ in .json(.ok, Array(list().utf8)) }
        router.on(.get, api + "targets/dropped") { [self] _ in .json(.ok, Array(await dropped().utf8)) }
        router.on(.get, api + "targets/labels") { [self] request in labels(request) }
        // A page of another site must not make the program ask its targets.
        router.on(.post, api + "targets/answer", changesState: true) { [self] request in await answer(request) }
    }

    // MARK: Targets

    private func list() -> String {
        let pools = services.scrapes.sources.filter(\.isScraping).map { source in
            let health = runtime.component(source.componentID)?.health.state ?? .unknown
            let targets = source.targetReports.map(Self.object)
            return
                "{\(Self.name(source)),\"health\":\"\(health.rawValue)\",\"targets\":[\(targets.joined(separator: ","))]}"
        }
        return "[" + pools.joined(separator: ",") + "]"
    }

    private static func name(_ source: any ScrapeSource) -> String {
        "\"component\":\(JSONText.quoted(source.componentID)),\"job\":\(JSONText.quoted(source.jobName))"
    }

    private static func object(_ target: TargetReport) -> String {
        func milliseconds(_ time: Int64?) -> String { time.map { "\($0 / 1_000_000)" } ?? "null" }
        return "{\"id\":\(JSONText.quoted(target.id)),\"job\":\(JSONText.quoted(target.job)),"
            + "\"url\":\(JSONText.quoted(target.url)),\"state\":\(JSONText.quoted(target.health)),"
            + "\"labels\":\(object(target.labels)),\"error\":\(JSONText.quoted(target.lastError)),"
            + "\"last\":\(milliseconds(target.lastScrape)),\"next\":\(milliseconds(target.nextScrape)),"
            + "\"seconds\":\(target.lastDuration.seconds),\"samples\":\(target.lastSamples),"
            + "\"bytes\":\(target.lastBytes),\"interval\":\(target.interval.seconds),"
            + "\"timeout\":\(target.timeout.seconds)}"
    }

    private static func object(_ labels: LabelSet) -> String {
        var members: [String] = []
        labels.forEach { name, value in
            let name = String(decoding: name, as: UTF8.self)
            members.append("\(JSONText.quoted(name)):\(JSONText.quoted(String(decoding: value, as: UTF8.self)))")
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    private func labels(_ request: HTTPServerRequest) -> HTTPServerResponse {
        guard let target = source(request)?.targetReports.first(where: { $0.id == request.query["target"] }) else {
            return .text(.notFound, "target not found\n")
        }
        let text =
            "{\"discovered\":\(Self.object(target.discoveredLabels)),\"labels\":\(Self.object(target.labels))}"
        return .json(.ok, Array(text.utf8))
    }

    // MARK: Dropped targets

    private func dropped() async -> String {
        var room = Self.droppedLimit
        var total = 0
        var parts: [String] = []
        for source in services.scrapes.sources {
            let limit = room
            // Rules run on every target: that is work, and takes its turn.
            let dropped = try? await services.slots.withSlot { source.droppedTargets(limit: limit) }
            guard let dropped, dropped.total > 0 else { continue }
            room -= dropped.items.count
            total += dropped.total
            let items = dropped.items.map {
                "{\"labels\":\(Self.object($0.labels)),\"number\":\($0.ruleNumber),\"rule\":\(JSONText.quoted($0.rule))}"
            }
            parts.append(
                "{\(Self.name(source)),\"total\":\(dropped.total),\"items\":[\(items.joined(separator: ","))]}")
        }
        return "{\"total\":\(total),\"limit\":\(Self.droppedLimit),\"sources\":[\(parts.joined(separator: ","))]}"
    }

    // MARK: Answers

    private func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse {
        let id = request.query["target"] ?? ""
        guard let source = source(request) else { return .text(.notFound, "target not found\n") }
        guard asked.add(1, ordering: .relaxed).newValue <= Self.askedAtOnce else {
            asked.subtract(1, ordering: .relaxed)
            return .text(.tooManyRequests, "too many targets are being asked now: try again\n")
        }
        defer { asked.subtract(1, ordering: .relaxed) }
        guard let answer = await source.response(of: id, upTo: Self.answerLimit) else {
            return .text(.notFound, "target not found\n")
        }
        let text =
            "{\"status\":\(answer.status),\"contentType\":\(JSONText.quoted(answer.contentType)),"
            + "\"problem\":\(JSONText.quoted(answer.problem)),\"seconds\":\(answer.duration.seconds),"
            + "\"bytes\":\(answer.body.count),\"truncated\":\(answer.isTruncated),"
            + "\"body\":\(JSONText.quoted(String(decoding: answer.body, as: UTF8.self)))}"
        return .json(.ok, Array(text.utf8))
    }

    private func source(_ request: HTTPServerRequest) -> (any ScrapeSource)? {
        let (component, job) = (request.query["component"] ?? "", request.query["job"] ?? "")
        return services.scrapes.sources.first { $0.isScraping && $0.componentID == component && $0.jobName == job }
    }
}
