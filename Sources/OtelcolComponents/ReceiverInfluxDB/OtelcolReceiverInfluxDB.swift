package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Transport
import Wire

/// Receives metrics in the InfluxDB line protocol, as `/write` of InfluxDB 1 and `/api/v2/write` of InfluxDB 2 do.
package final class OtelcolReceiverInfluxDB: ListeningComponent {
    package static let spec = ComponentSpec(
        "otelcol.receiver.influxdb", .generallyAvailable, "Receives metrics in the InfluxDB line protocol.")

    package struct Arguments: Block, Sendable {
        let server: HTTPServerArguments
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            server = HTTPServerArguments(from: &block, endpoint: "localhost:8086")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let delivery: ReceiverDelivery
    private let address = BoundAddress()

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        delivery = ReceiverDelivery(context, transport: "http") { arguments.current.output }
    }

    package var debugInfo: ListeningInfo { ListeningInfo(address: address.text) }

    /// Listens until cancelled. A change of the server binds anew.
    package func run() async throws {
        try await arguments.whileCurrent(\.server) { [self] server in
            var router = HTTPRouter()
            router.otherwise { [weak self] request in
                guard let self else { return .text(.serviceUnavailable, "stopped\n") }
                return try await server.answer(request) { client in await self.answer(request, client, server) }
            }
            try await context.listen(server.settings, router, at: address)
        }
    }

    /// Nanoseconds of a unit of time; nil when it is not known.
    private static func nanoseconds(_ precision: String) -> Int64? {
        switch precision {
        case "", "n", "ns": 1
        case "u", "us", "µ", "µs": 1000
        case "ms": 1_000_000
        case "s": 1_000_000_000
        case "m": 60_000_000_000
        case "h": 3_600_000_000_000
        default: nil
        }
    }

    private func answer(
        _ request: HTTPServerRequest, _ client: OTLPClient?, _ server: HTTPServerArguments
    ) async -> HTTPServerResponse {
        switch request.path {
        case "/ping":
            var response = HTTPServerResponse(.noContent)
            response.fields["x-influxdb-version"] = "1.8.0"
            return response
        case "/write", "/api/v2/write": break
        default: return .text(.notFound, "404 page not found\n")
        }
        guard request.method == .post else { return .text(.methodNotAllowed, "405 method not allowed\n") }
        let name = request.query["precision"] ?? ""
        guard let unit = Self.nanoseconds(name) else {
            return .text(.badRequest, "unrecognized precision '\(name)'\n")
        }
        let lease = MemoryLease(context.memory)
        defer { lease.release() }
        let (batch, others): (OTLPBatch, Int)
        do {
            let body = try await server.body(of: request, in: lease)
            (batch, others) = try body.withUnsafeBytes { try metrics($0, unit, client) }
        } catch HTTPBodyError.outOfMemory {
            return ReceiverDelivery.noMemory.response
        } catch let error as HTTPBodyError {
            return .text(error.status, "\(error)\n")
        } catch {
            return .text(.badRequest, "failed to parse \(error)\n")
        }
        do throws(DeliveryError) {
            try await delivery.offer(batch)
        } catch {
            return error.response
        }
        delivery.lost(others, "not_a_number")
        return HTTPServerResponse(.noContent)
    }

    private func metrics(
        _ body: UnsafeRawBufferPointer, _ unit: Int64, _ client: OTLPClient?
    ) throws(InfluxLineError) -> (OTLPBatch, Int) {
        var metrics = InfluxMetrics()
        var others = 0
        let now = UInt64(clamping: context.clock.wallNanoseconds)
        for line in try InfluxLine.lines(body) {
            let time = line.time.map { UInt64(clamping: $0.multipliedReportingOverflow(by: unit).partialValue) }
            others += metrics.append(line, at: time ?? now)
        }
        return (metrics.finish(client: client), others)
    }
}
