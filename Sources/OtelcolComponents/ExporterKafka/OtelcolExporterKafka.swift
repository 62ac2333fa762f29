package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry

/// Writes traces, metrics and logs to topics of Kafka.
///
/// A batch counts as delivered when the brokers have acknowledged all of its records.
package final class OtelcolExporterKafka: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.kafka", .generallyAvailable, "Writes traces, metrics and logs to Kafka.")

    package struct Arguments: Block, Sendable {
        let settings: Settings

        package init(from block: inout BlockReader) {
            var producer = KafkaProducerSettings(from: &block)
            let routes = KafkaRoutes(from: &block)
            producer.headers = routes.headers
            let queue = SendingQueue.read(from: &block)
            let retry = RetryOnFailure.read(from: &block)
            DebugMetrics.read(from: &block)
            settings = Settings(producer: producer, routes: routes.routes, queue: queue, retry: retry)
        }
    }

    /// What a change of starts the exporter anew.
    struct Settings: Sendable, Equatable {
        var producer: KafkaProducerSettings
        /// By signal; a signal without a route is refused.
        var routes: [OTLPBatch.Kind: KafkaRoute]
        var queue: SendingQueue
        var retry: RetryOnFailure
    }

    private let exporter: ExporterShell<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        exporter = ExporterShell(arguments, context)
    }

    package func run() async throws {
        try await exporter.run(\.settings) { settings, context in
            let tokens = settings.producer.login.flatMap { login in
                login.region.map { region in
                    let source = KafkaMSKTokens(
                        region: region, principal: login.username, on: context.services.eventLoops,
                        clock: context.clock)
                    return KafkaTokens { try await source.fetch() }
                }
            }
            let producer = try KafkaProducer(
                settings.producer, log: context.log, memory: context.memory, blocking: context.services.blocking,
                tokens: tokens)
            return ExporterShell<Arguments>.Made(
                queue: settings.queue, retry: settings.retry,
                destination: KafkaDestination(routes: settings.routes, producer: producer),
                name: settings.producer.brokers.joined(separator: ", ")
            ) { producer.close() }
        }
    }
}

/// One attempt to write a batch.
private struct KafkaDestination: ExportDestination {
    let routes: [OTLPBatch.Kind: KafkaRoute]
    let producer: KafkaProducer

    func send(_ batch: OTLPBatch) async throws(ExportError) -> ExportReport {
        guard let route = routes[batch.kind] else {
            throw .permanent("the configured encoding has no \(batch.kind)")
        }
        let records: [KafkaRecord]
        do {
            records = try route.records(for: batch)
        } catch {
            throw .permanent("\(error)")
        }
        let unwritable = batch.itemCount - records.reduce(0) { $0 + $1.itemCount }
        if unwritable == 0 { return try await producer.write(records, client: batch.client) }
        let reason = "spans without a trace or span ID cannot be written as \(route.encoding.rawValue)"
        if records.isEmpty { throw .permanent(reason) }
        var report = try await producer.write(records, client: batch.client)
        report.rejectedItems += unwritable
        if report.message.isEmpty { report.message = reason }
        return report
    }
}
