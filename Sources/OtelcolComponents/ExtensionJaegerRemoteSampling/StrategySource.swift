import AlloySyntax
import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Transport
import Wire

/// The `source` block: where strategies come from.
struct StrategySourceArguments: Block, Sendable, Equatable {
    enum Source: Sendable, Equatable {
        case document(SamplingDocument)
        case file(String)
        case remote(GRPCDialArguments)
    }

    let source: Source
    /// Zero is never, and no cache of remote answers.
    let reloadInterval: Duration

    init(from block: inout BlockReader) {
        let content = block.optional("content", default: "", "The sampling document itself, as JSON.")
        let file = block.optional("file", default: "", "File or URL of the sampling document.")
        let interval = block.optional(
            "reload_interval", default: Duration.zero,
            "Time between two readings of the file, or for which answers of the remote are kept; 0 is never.")
        let remote: Remote? = block.optionalBlock("remote", "Another sampling manager is asked.")
        var sources: [Source] = []
        if !content.isEmpty {
            do {
                sources.append(.document(try SamplingDocument(parsing: content)))
            } catch {
                block.reject("content", "is no sampling document: \(error)")
                sources.append(.document(SamplingDocument()))
            }
            if interval > .zero { block.warn("reload_interval", "has no effect with content") }
        }
        if !file.isEmpty { sources.append(.file(file)) }
        if let remote { sources.append(.remote(remote.client)) }
        if sources.isEmpty { block.reject("one of content, file and remote must be given") }
        if sources.count > 1 { block.reject("only one of content, file and remote can be given") }
        if interval < .zero { block.reject("reload_interval", "must not be negative") }
        source = sources.first ?? .document(SamplingDocument())
        reloadInterval = interval
    }

    private struct Remote: Block, Sendable {
        let client: GRPCDialArguments
        init(from block: inout BlockReader) { client = GRPCDialArguments(from: &block) }
    }
}

/// Answers which strategy a service has.
protocol StrategySource: Sendable {
    func strategy(for service: String, client: OTLPClient?) async throws(GRPCStatus) -> SamplingStrategy
}

extension SamplingDocument: StrategySource {
    func strategy(for service: String, client: OTLPClient?) async throws(GRPCStatus) -> SamplingStrategy {
        strategy(for: service)
    }
}

/// Asks another sampling manager over gRPC, and keeps its answers for a while.
final class RemoteStrategies: StrategySource {
    private struct Answer {
        var strategy: SamplingStrategy
        var end: Int64
    }

    /// Services whose answers are kept at the same time.
    private static let maximumKept = 10_000
    /// Time a call may take.
    private static let timeout = Duration.seconds(30)

    private let dialer: GRPCDialer
    private let lifetime: Duration
    private let clock: EngineClock
    private let kept = Mutex<[String: Answer]>([:])

    init(_ client: GRPCDialArguments, keeping lifetime: Duration, on loops: EventLoops, clock: EngineClock) {
        dialer = GRPCDialer(client, on: loops, clock: clock)
        self.lifetime = lifetime
        self.clock = clock
    }

    func shutDown() { dialer.shutDown() }

    func strategy(for service: String, client: OTLPClient?) async throws(GRPCStatus) -> SamplingStrategy {
        let now = clock.monotonicNanoseconds
        if lifetime > .zero, let answer = kept.withLock({ $0[service] }), answer.end >= now { return answer.strategy }
        let message: [UInt8]
        do throws(ExportError) {
            message = try await dialer.call(
                SamplingStrategy.method, SamplingStrategy.request(for: service), timeout: Self.timeout, for: client)
        } catch {
            throw GRPCStatus(.unavailable, "remote call failed: \(error)")
        }
        let strategy: SamplingStrategy
        do throws(ProtobufError) {
            strategy = try message.withRawBytes { bytes throws(ProtobufError) in
                try SamplingStrategy(protobuf: bytes)
            }
        } catch {
            throw GRPCStatus(.internal, "remote call failed: the answer is malformed: \(error)")
        }
        keep(strategy, of: service)
        return strategy
    }

    private func keep(_ strategy: SamplingStrategy, of service: String) {
        guard lifetime > .zero else { return }
        let now = clock.monotonicNanoseconds
        kept.withLock { kept in
            if kept.count >= Self.maximumKept, kept[service] == nil {
                kept = kept.filter { $0.value.end >= now }
                if kept.count >= Self.maximumKept { return }
            }
            kept[service] = Answer(strategy: strategy, end: now &+ lifetime.nanoseconds)
        }
    }
}
