package import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import Transport

extension Context {
    /// Serves HTTP until cancelled, then answers what is under way. Says in log, health and `address` where.
    func listen(_ settings: HTTPServerSettings, _ router: HTTPRouter, at address: BoundAddress) async throws {
        let log = log
        let server: HTTPServer
        do {
            server = try await HTTPServer.bind(settings, router: router, on: services.eventLoops) {
                log.error("Request failed", nil, [.error: $0])
            }
        } catch {
            report(.unhealthy("cannot listen: \(error)"))
            throw error
        }
        address.text = server.address.text
        log.info("Listening", nil, ["address": address.text])
        report(.healthy("listening on \(address.text)"))
        await server.run(on: services.executor)
        try Task.checkCancellation()
    }
}

/// The address a receiver listens on, as its debug info shows it.
package struct ListeningInfo: WritableBlock {
    var address: String
    package static let placeholder = ListeningInfo(address: "")

    package func write(to block: inout BlockWriter) {
        block.attribute("address", address, "Address the server listens on.")
    }
}

extension DeliveryError {
    /// How a receiver without words of its own for it answers: 429 or 503 with Retry-After, or 400 for data nobody will take.
    var response: HTTPServerResponse {
        switch kind {
        case .overloaded(let wait): HTTPServerResponse.later(.tooManyRequests, message, wait)
        case .retry(let wait): HTTPServerResponse.later(.serviceUnavailable, message, wait)
        case .rejected: .text(.badRequest, "\(message)\n")
        }
    }
}

extension HTTPServerResponse {
    fileprivate static func later(_ status: HTTPStatus, _ message: String, _ wait: Duration?) -> HTTPServerResponse {
        var response = HTTPServerResponse.text(status, "\(message)\n")
        response.fields["retry-after"] = "\(Int(min(max(1, (wait ?? .seconds(1)).seconds.rounded(.up)), 3600)))"
        return response
    }
}
