import ComponentKit
import Essentials
import Runtime
import Transport

/// The pipeline as it changes, for pages that show it live.
///
/// Server-sent events (HTML standard, section 9.2): `structure` with every component, first and whenever it changes;
/// `books` at every interval with the books that changed since the last. Nothing is kept or computed while nobody looks.
enum PipelineStream {
    /// Most frequent, least frequent and usual distance of events, in milliseconds.
    private static let shortest = 250
    private static let longest = 60_000
    private static let usual = 1_000

    static func events(
        _ request: HTTPServerRequest, runtime: Runtime, services: EngineServices, onlookers: Onlookers
    ) -> HTTPServerResponse {
        var milliseconds = usual
        if let text = request.query["interval"], !text.isEmpty {
            guard let wanted = Int(text), (shortest...longest).contains(wanted) else {
                return .text(
                    .badRequest, "interval must be a number of milliseconds from \(shortest) to \(longest)\n")
            }
            milliseconds = wanted
        }
        let interval = Duration.milliseconds(milliseconds)
        return .stream(.ok, type: "text/event-stream") { writer in
            try await onlookers.serve(writer) { try await write(to: writer, every: interval, runtime, services) }
        }
    }

    private static func write(
        to writer: HTTPBodyWriter, every interval: Duration, _ runtime: Runtime, _ services: EngineServices
    ) async throws {
        var structure = ""
        var books: [String: String] = [:]
        while true {
            let current = PipelineJSON.structure(runtime)
            if current != structure {
                structure = current
                try await writer.write("event: structure\ndata: \(current)\n\n")
            }
            var changed: [String] = []
            var all: [String: String] = [:]
            for (id, text) in PipelineJSON.books(runtime) {
                all[id] = text
                if books[id] != text { changed.append(text) }
            }
            books = all
            try await writer.write(
                "event: books\ndata: {\"time\":\(services.clock.wallMilliseconds),"
                    + "\(PipelineJSON.memory(services.budget)),\"ledger\":[\(changed.joined(separator: ","))]}\n\n")
            try await services.clock.sleep(for: interval)
        }
    }
}
