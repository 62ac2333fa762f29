package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import Transport
import Wire

/// Listens for log entries pushed to it as to Loki and forwards them.
///
/// A request is answered when every receiver has taken its entries: 204, or 429 and 503 when a receiver cannot take them
/// now and the client should come back. Nothing is kept between requests.
package final class LokiSourceAPI: ListeningComponent {
    package static let spec = ComponentSpec(
        "loki.source.api", .generallyAvailable, "Listens for log entries pushed to it as to Loki.")

    private static let pushPaths = ["/api/v1/push", "/loki/api/v1/push"]
    private static let rawPaths = ["/api/v1/raw", "/loki/api/v1/raw"]

    let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let metrics: ServerMetrics
    private let entriesWritten: Counter
    private let failures: LogLimiter

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        metrics = ServerMetrics(context.metrics, namespace: "loki_source_api")
        entriesWritten = context.metrics.counter("loki_source_api_entries_written", "Total number of entries written.")
        failures = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    package struct DebugInfo: WritableBlock {
        var address: String
        package static let placeholder = DebugInfo(address: "")

        package func write(to block: inout BlockWriter) {
            block.attribute("http_address", address, "Address the HTTP server listens on.")
        }
    }

    /// The address being listened on, for tests and operators.
    private let listening = ListeningAddress()

    package var debugInfo: DebugInfo { DebugInfo(address: listening.text) }

    /// Listens until cancelled, then answers what is under way. A change of the servers binds anew; the rest applies to
    /// the next request.
    package func run() async throws {
        try await arguments.whileCurrent(\.listening) { [self] settings in try await serve(settings) }
    }

    private func serve(_ settings: Listening) async throws {
        var http = settings.servers.http
        http.maximumBodyBytes = settings.maximumMessageSize
        let log = context.log
        let server: HTTPServer
        do {
            server = try await HTTPServer.bind(http, router: router, on: context.services.eventLoops, observer: metrics)
            {
                log.error("Request failed", nil, [.error: $0])
            }
        } catch {
            context.report(.unhealthy("cannot listen on \(http.address): \(error)"))
            throw error
        }
        var grpc: HTTPServer?
        if let settings = settings.servers.grpc {
            grpc = try await HTTPServer.bind(settings, router: Self.unknownCalls, on: context.services.eventLoops)
        }
        listening.text = server.address.text
        context.log.info("Listening", nil, ["http": server.address.text, "grpc": grpc?.address.text ?? ""])
        context.report(.healthy("listening on \(server.address)"))
        await withTaskGroup(of: Void.self) { [grpc] group in
            let executor = context.services.executor
            group.addTask { await server.run(on: executor) }
            if let grpc { group.addTask { await grpc.run(on: executor) } }
        }
        try Task.checkCancellation()
    }

    private var router: HTTPRouter {
        var router = HTTPRouter()
        for path in Self.pushPaths {
            router.on(.post, path) { [weak self] request in
                guard let self else { return .text(.serviceUnavailable, "stopped\n") }
                return try await self.measured(request, path) { try await self.push(request) }
            }
        }
        for path in Self.rawPaths {
            router.on(.post, path) { [weak self] request in
                guard let self else { return .text(.serviceUnavailable, "stopped\n") }
                return try await self.measured(request, path) { try await self.raw(request) }
            }
        }
        router.on(.get, "/ready") { _ in .text(.ok, "ready") }
        return router
    }

    /// The gRPC server has no services: every call is unimplemented (gRPC status 12).
    private static var unknownCalls: HTTPRouter {
        var router = HTTPRouter()
        router.otherwise { _ in
            HTTPServerResponse(
                .ok,
                fields: [
                    "content-type": "application/grpc", "grpc-status": "12", "grpc-message": "unknown service",
                ])
        }
        return router
    }

    // MARK: Requests

    private struct Answer {
        var response: HTTPServerResponse
        var received: Int
    }

    private func measured(
        _ request: HTTPServerRequest, _ path: String, _ body: () async throws -> Answer
    ) async throws -> HTTPServerResponse {
        let end = metrics.begin(request.method, path)
        defer { end() }
        let answer = try await body()
        var sent = 0
        if case .bytes(let bytes) = answer.response.body { sent = bytes.count }
        metrics.message(request.method, path, received: answer.received, sent: sent)
        return answer.response
    }

    private func push(_ request: HTTPServerRequest) async throws -> Answer {
        try await withBody(of: request) { body in
            let settings = arguments.current
            let now = context.clock.wallNanoseconds
            let limits = LokiPushLimits(maximumBytes: settings.maximumMessageSize.bytes)
            let mapper = PushMapper(
                labels: settings.labels, relabeling: settings.relabeling,
                tenant: PushMapper.tenant(of: request.fields["x-scope-orgid"]))
            let contentType = request.fields["content-type"]
            let header = request.fields["content-encoding"]
            let decoded: Result<(LokiPush, Int), LokiPushError> = try await context.services.slots.withSlot {
                Result { () throws(LokiPushError) in
                    let encoding = try LokiPushDecoder.Encoding(header: header)
                    var decoder = LokiPushDecoder(limits: limits)
                    var push = try body.withRawBytes { (bytes) throws(LokiPushError) in
                        try decoder.decode(bytes, contentType: contentType, encoding: encoding)
                    }
                    if !settings.usesIncomingTimestamp { Self.restamp(&push.batch, now) }
                    let dropped = mapper.map(&push.batch)
                    return (push, dropped)
                }
            }
            switch decoded {
            case .failure(let error): return refusal(error)
            case .success(let (push, dropped)):
                return await forward(
                    push.batch, to: settings.forwardTo, dropped: dropped, skipped: push.skippedEntries,
                    problem: push.streamError)
            }
        }
    }

    private func raw(_ request: HTTPServerRequest) async throws -> Answer {
        try await withBody(of: request) { body in
            let settings = arguments.current
            let now = context.clock.wallNanoseconds
            let decoder = LokiPushDecoder(limits: LokiPushLimits(maximumBytes: settings.maximumMessageSize.bytes))
            do throws(LokiPushError) {
                var batch = try body.withRawBytes { (bytes) throws(LokiPushError) in
                    try decoder.decodeLines(bytes, labels: settings.labels, timestamp: now)
                }
                Self.restamp(&batch, now)
                return await forward(batch, to: settings.forwardTo)
            } catch {
                return refusal(error)
            }
        }
    }

    /// Gives every entry a time of its own, beginning at `now`: Loki takes equal lines of one time for one.
    private static func restamp(_ batch: inout LogBatch, _ now: Int64) {
        for index in batch.entries.indices { batch.entries[index].timestamp = now &+ Int64(index) }
    }

    /// Collects the body within the memory budget.
    private func withBody(
        of request: HTTPServerRequest, _ respond: ([UInt8]) async throws -> HTTPServerResponse
    ) async throws -> Answer {
        let limit = arguments.current.maximumMessageSize.bytes
        let lease = MemoryLease(context.memory)
        defer { lease.release() }
        var incoming = request.body
        incoming.lease = lease
        let body: [UInt8]
        do throws(HTTPBodyError) {
            body = try await incoming.collect(upTo: limit)
            // Decoding takes about as much again.
            guard lease.grow(by: body.count) else { throw .outOfMemory }
        } catch .outOfMemory {
            return Answer(
                response: Self.later(.tooManyRequests, "out of memory budget", after: .seconds(1)), received: 0)
        } catch {
            guard case .tooLarge = error else { throw error }
            let message = "received message larger than max (\(request.body.announcedLength ?? limit + 1) vs \(limit))"
            return Answer(response: .text(.contentTooLarge, message + "\n"), received: 0)
        }
        return Answer(response: try await respond(body), received: body.count)
    }

    private func refusal(_ error: LokiPushError) -> HTTPServerResponse {
        failures.attempt { suppressed in
            context.log.warn("Failed to parse request", error, ["suppressed": "\(suppressed)"])
        }
        switch error.kind {
        case .malformed: return .text(.badRequest, error.message + "\n")
        case .tooLarge: return .text(.contentTooLarge, error.message + "\n")
        case .unsupported: return .text(.badRequest, error.message + "\n")
        }
    }

    private static func later(_ status: HTTPStatus, _ message: String, after wait: Duration?) -> HTTPServerResponse {
        var response = HTTPServerResponse.text(status, message + "\n")
        let seconds = max(1, (wait ?? .seconds(1)).seconds.rounded(.up))
        response.fields["retry-after"] = "\(Int(min(seconds, 3600)))"
        return response
    }

    // MARK: Forwarding

    /// Forwards what is left of a request. `dropped` entries fell to a rule, `skipped` ones to `problem`.
    private func forward(
        _ batch: LogBatch, to forwardTo: Fanout<LogBatch>, dropped: Int = 0, skipped: Int = 0,
        problem: LokiPushError? = nil
    ) async -> HTTPServerResponse {
        let count = batch.itemCount
        if count > 0 {
            do throws(DeliveryError) {
                try await forwardTo(batch)
            } catch {
                if error.isRetryable, error.anyTaken {
                    // The client comes again with everything, but these have been passed on.
                    context.ledger.originated(count)
                    context.ledger.delivered(count)
                }
                switch error.kind {
                case .overloaded(let wait): return Self.later(.tooManyRequests, error.message, after: wait)
                case .retry(let wait): return Self.later(.serviceUnavailable, error.message, after: wait)
                case .rejected:
                    context.ledger.originated(count)
                    forwardTo.giveUp(batch, after: error)
                    book(dropped: dropped, skipped: skipped)
                    return .text(.badRequest, error.message + "\n")
                }
            }
            context.ledger.originated(count)
            entriesWritten.add(count)
        }
        book(dropped: dropped, skipped: skipped)
        guard let problem else { return HTTPServerResponse(.noContent) }
        failures.attempt { suppressed in
            context.log.warn("At least one entry failed to be processed", problem, ["suppressed": "\(suppressed)"])
        }
        return .text(.badRequest, problem.message + "\n")
    }

    private func book(dropped: Int, skipped: Int) {
        context.ledger.originated(dropped + skipped)
        context.ledger.drop(dropped, .rule, rule: "relabel_rules")
        context.ledger.drop(skipped, .malformed)
    }
}
