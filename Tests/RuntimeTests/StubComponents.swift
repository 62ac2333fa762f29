import AlloySyntax
import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// What the stub components of one test did, in order.
final class Journal: Sendable {
    private static let all = Mutex<[String: Journal]>([:])
    private let lines = Mutex<[String]>([])
    private let instances = Mutex<[String: [ObjectIdentifier]]>([:])

    /// The journal of the runtime whose storage is at `path`.
    static func at(_ path: String) -> Journal {
        all.withLock { all in
            if let known = all[path] { return known }
            let made = Journal()
            all[path] = made
            return made
        }
    }

    func note(_ line: String) { lines.withLock { $0.append(line) } }
    var notes: [String] { lines.withLock { $0 } }

    /// The notes so far, which are then forgotten.
    func take() -> [String] {
        lines.withLock { lines in
            defer { lines = [] }
            return lines
        }
    }
}

/// Exports what it is given: `output` is `input`.
final class ValueStub: Component {
    static let spec = ComponentSpec("test.value", .generallyAvailable, "Exports its input.")

    struct Arguments: Block {
        let input: Value
        let secret: Secret<String>?

        init(from block: inout BlockReader) {
            input = block.required("input", "Value to export.")
            secret = block.optional("secret", "Not exported.")
        }
    }

    struct Exports: WritableBlock {
        var output: Value
        static let placeholder = Exports(output: .null)
        func write(to block: inout BlockWriter) { block.attribute("output", output, "The input.") }
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>

    init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        if case .string("refuse") = arguments.current.input { throw StubError("refused to be made") }
        Journal.at(context.services.storagePath).note("make \(context.componentID)")
        context.export(Exports(output: arguments.current.input))
    }

    func run() async throws {
        let journal = Journal.at(context.services.storagePath)
        journal.note("start \(context.componentID)")
        defer { journal.note("stop \(context.componentID)") }
        if case .string("exit") = arguments.current.input { return }
        if case .string("fail") = arguments.current.input { throw StubError("failed to run") }
        if case .string("sick") = arguments.current.input { context.report(.unhealthy("feeling sick")) }
        var version = arguments.version
        while true {
            try await arguments.change(after: version)
            version = arguments.version
            journal.note("update \(context.componentID)")
            context.export(Exports(output: arguments.current.input))
        }
    }
}

/// Exports a number that grows when its receiver is given entries, and passes them on.
final class RelayStub: Component {
    static let spec = ComponentSpec("test.relay", .generallyAvailable, "Passes entries on and counts them.")

    struct Arguments: Block {
        let forwardTo: Fanout<LogBatch>

        init(from block: inout BlockReader) {
            forwardTo = block.optional("forward_to", default: Fanout([], ledger: .evaluating), "Receivers.")
        }
    }

    struct Exports: WritableBlock {
        var receiver: Receiver<LogBatch>
        var count: Int
        static let placeholder = Exports(receiver: .placeholder, count: 0)
        func write(to block: inout BlockWriter) {
            block.attribute("receiver", receiver, "Takes entries.")
            block.attribute("count", count, "Entries so far.")
        }
    }

    private let context: Context<Exports>
    private let receiver: Receiver<LogBatch>
    private let count = Atomic<Int>(0)

    init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.context = context
        receiver = context.makeReceiver()
        context.export(Exports(receiver: receiver, count: 0))
        receiver.install { [weak self] (batch: LogBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("gone") }
            let forward = arguments.current.forwardTo
            let total = self.count.add(batch.itemCount, ordering: .relaxed).newValue
            if forward.isEmpty {
                context.ledger.delivered(batch.itemCount)
            } else {
                try await forward(batch)
            }
            context.export(Exports(receiver: self.receiver, count: total))
        }
    }

    func run() async throws {
        let journal = Journal.at(context.services.storagePath)
        journal.note("start \(context.componentID)")
        defer { journal.note("stop \(context.componentID)") }
        try await waitForCancellation()
    }
}

/// Takes entries from a while after its start until it is asked to stop, and then takes a while to stop.
final class SinkStub: Component {
    static let spec = ComponentSpec("test.sink", .generallyAvailable, "Takes entries.")

    struct Arguments: Block {
        let opening: Duration
        let draining: Duration

        init(from block: inout BlockReader) {
            opening = block.optional("opening", default: .zero, "Time until entries are taken.")
            draining = block.optional("draining", default: .zero, "Time it takes to stop.")
        }
    }

    struct Exports: WritableBlock {
        var receiver: Receiver<LogBatch>
        static let placeholder = Exports(receiver: .placeholder)
        func write(to block: inout BlockWriter) { block.attribute("receiver", receiver, "Takes entries.") }
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let receiver: Receiver<LogBatch>

    init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        receiver = context.makeReceiver()
        context.export(Exports(receiver: receiver))
    }

    func run() async throws {
        let (clock, settings, ledger) = (context.clock, arguments.current, context.ledger)
        let journal = Journal.at(context.services.storagePath)
        if settings.opening > .zero { try await clock.sleep(for: settings.opening) }
        receiver.install { (batch: LogBatch) async throws(DeliveryError) in ledger.delivered(batch.itemCount) }
        journal.note("open \(context.componentID)")
        try? await waitForCancellation()
        receiver.install(nil)
        if settings.draining > .zero {
            await Task(executorPreference: context.services.executor) {
                try? await clock.sleep(for: settings.draining)
            }.value
        }
        // What could not be sent in the end.
        ledger.originated(1)
        ledger.drop(1, .stopped)
        journal.note("closed \(context.componentID)")
    }
}

/// Exports its input a while after its start.
final class LateStub: Component {
    static let spec = ComponentSpec("test.late", .generallyAvailable, "Exports late.")

    struct Arguments: Block {
        let delay: Duration
        let input: Value

        init(from block: inout BlockReader) {
            delay = block.required("delay", "Time until the export.")
            input = block.required("input", "Value to export.")
        }
    }

    typealias Exports = ValueStub.Exports

    private let arguments: Live<Arguments>
    private let context: Context<Exports>

    init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
    }

    func run() async throws {
        try await context.clock.sleep(for: arguments.current.delay)
        context.export(Exports(output: arguments.current.input))
        try await waitForCancellation()
    }
}

/// Does not stop when asked.
final class StubbornStub: Component {
    static let spec = ComponentSpec("test.stubborn", .generallyAvailable, "Does not stop when asked.")

    struct Arguments: Block {
        let patience: Duration

        init(from block: inout BlockReader) {
            patience = block.optional("patience", default: .seconds(3600), "Time it takes to stop.")
        }
    }

    private let clock: EngineClock
    private let arguments: Live<Arguments>

    init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        clock = context.clock
        self.arguments = arguments
    }

    func run() async throws {
        let (clock, patience) = (clock, arguments.current.patience)
        // A task that does not hear of the cancellation.
        await Task { try? await clock.sleep(for: patience) }.value
    }
}

final class ExperimentalStub: Component {
    static let spec = ComponentSpec("test.experimental", .experimental, "Needs --stability.level.")
    struct Arguments: Block { init(from block: inout BlockReader) {} }
    init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {}
}

final class CommunityStub: Component {
    static let spec = ComponentSpec("test.community", .generallyAvailable, "Needs its flag.", isCommunity: true)
    struct Arguments: Block { init(from block: inout BlockReader) {} }
    init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {}
}

final class SingletonStub: Component {
    static let spec = ComponentSpec("test.singleton", .generallyAvailable, "Only one.", isSingleton: true)
    struct Arguments: Block { init(from block: inout BlockReader) {} }
    init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {}
}

struct StubError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

let stubComponents: [any Component.Type] = [
    ValueStub.self, RelayStub.self, StubbornStub.self, ExperimentalStub.self, CommunityStub.self, SingletonStub.self,
    SinkStub.self, LateStub.self, HungryStub.self, ListeningStub.self,
]

/// Cannot work without `bytes` of the memory budget.
final class HungryStub: Component {
    static let spec = ComponentSpec("test.hungry", .generallyAvailable, "Needs memory.")

    struct Arguments: Block, MemoryDemanding {
        let bytes: Int
        var minimumMemory: ByteCount { ByteCount(bytes: bytes) }

        init(from block: inout BlockReader) { bytes = block.required("bytes", "What it needs.") }
    }

    init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {}
}

/// Listens a while after its start, or fails then.
final class ListeningStub: ListeningComponent {
    static let spec = ComponentSpec("test.listening", .generallyAvailable, "Listens late.")

    struct Arguments: Block {
        let delay: Duration
        let fails: Bool

        init(from block: inout BlockReader) {
            delay = block.required("delay", "Time until it listens.")
            fails = block.optional("fails", default: false, "Whether it cannot.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>

    init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
    }

    func run() async throws {
        try await context.clock.sleep(for: arguments.current.delay)
        if arguments.current.fails { throw StubError("cannot listen") }
        context.report(.healthy("listening"))
        try await waitForCancellation()
    }
}
