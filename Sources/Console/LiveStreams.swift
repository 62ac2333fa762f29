import ComponentKit
import Essentials
import Runtime
import Transport

/// Streams for people who look on: items passing a component, and rates on edges.
enum LiveStreams {
    /// What Alloy's web interface splits the stream at.
    private static let delimiter = "|;|"
    /// Items that may wait for a slow reader; further ones are not shown.
    private static let backlog = 1_000

    /// The items that pass one component, each as text.
    static func items(
        _ request: HTTPServerRequest, runtime: Runtime, services: EngineServices, onlookers: Onlookers
    ) -> HTTPServerResponse {
        let id = request.parameters["id"] ?? ""
        guard services.liveData.isEnabled else {
            return .text(.serviceUnavailable, "live debugging is disabled: add livedebugging { enabled = true }\n")
        }
        guard runtime.component(id) != nil else { return .text(.notFound, "component not found\n") }
        var probability = 1.0
        if let text = request.query["sampleProb"], !text.isEmpty {
            guard let wanted = Double(text), (0...1).contains(wanted) else {
                return .text(.badRequest, "sampleProb must be a number from 0 to 1\n")
            }
            probability = wanted
        }
        let chosen = probability
        return .stream(.ok, type: "text/event-stream") { writer in
            let (stream, continuation) = AsyncStream.makeStream(
                of: String.self, bufferingPolicy: .bufferingNewest(backlog))
            let offer: @Sendable (String) -> Void = { text in
                guard chosen >= 1 || Double.random(in: 0..<1) < chosen else { return }
                // A text with the delimiter in it would look like two.
                continuation.yield(
                    text.contains(delimiter) ? text.split(separator: delimiter).joined(separator: "| ;|") : text)
            }
            let stop = services.liveData.observe(
                id,
                LiveDataHub.Observer(
                    item: { offer(LiveText.cut($0.text)) },
                    edge: { LiveText.forEachItem(of: $0) { text, _ in offer(text) } }))
            defer { stop() }
            try await onlookers.serve(writer) {
                for await text in stream { try await writer.write(text + delimiter) }
            }
        }
    }

    /// Items per second on every edge of a module, once per window.
    static func rates(
        _ request: HTTPServerRequest, module: String, runtime: Runtime, clock: EngineClock, onlookers: Onlookers
    ) -> HTTPServerResponse {
        var seconds = 5
        if let text = request.query["window"], !text.isEmpty {
            guard let wanted = Int(text), (1...60).contains(wanted) else {
                return .text(.badRequest, "window must be a number of seconds from 1 to 60\n")
            }
            seconds = wanted
        }
        guard runtime.hasModule(module) else { return .text(.notFound, "module not found\n") }
        let window = seconds
        return .stream(.ok, type: "text/event-stream") { writer in
            try await onlookers.serve(writer) {
                try await writeRates(of: module, to: writer, every: window, runtime, clock)
            }
        }
    }

    private static func writeRates(
        of module: String, to writer: HTTPBodyWriter, every window: Int, _ runtime: Runtime, _ clock: EngineClock
    ) async throws {
        var before = counts(runtime.graph(of: module))
        while true {
            try await clock.sleep(for: .seconds(window))
            let now = counts(runtime.graph(of: module))
            let entries = now.map { edge, accepted in
                let rate = Double(accepted - before[edge, default: 0]) / Double(window)
                return "{\"componentID\":\(JSONText.quoted(edge.from)),"
                    + "\"targetComponentIDs\":[\(JSONText.quoted(edge.to))],\"type\":\"items\",\"rate\":\(rate)}"
            }
            before = now
            try await writer.write("[" + entries.sorted().joined(separator: ",") + "]" + delimiter)
        }
    }

    private struct EdgeName: Hashable {
        var from: String
        var to: String
    }

    private static func counts(_ graph: GraphView) -> [EdgeName: Int] {
        Dictionary(graph.edges.map { (EdgeName(from: $0.from, to: $0.to), $0.accepted) }, uniquingKeysWith: +)
    }
}
