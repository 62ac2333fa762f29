package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry

/// Reads log files and makes log records of what is written to them.
///
/// Files are looked at every `poll_interval`; see ``FileLogEngine`` for how they are told apart. What was read is delivered
/// before more is read, and only what was delivered is remembered: with `storage` each log arrives at least once, whatever
/// happens to the process. Nothing is kept but a few hundred bytes and a descriptor for each file, and what operators hold.
package final class OtelcolReceiverFileLog: Component {
    package static let spec = ComponentSpec(
        "otelcol.receiver.filelog", .publicPreview, "Reads log files and makes log records of their lines.")

    /// Bytes read before they are delivered, about.
    private static let batchBytes = 256 << 10

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let delivery: LogDelivery
    private let engine = FileLogEngine()
    private let openFiles: Gauge

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        delivery = LogDelivery(context, transport: "filelog") {
            let current = arguments.current
            return (current.output, current.retry)
        }
        openFiles = context.metrics.gauge("otelcol_fileconsumer_open_files", "Number of open files.")
    }

    package struct DebugInfo: WritableBlock {
        struct File: WritableBlock {
            var path: String
            var position: Int64
            static let placeholder = File(path: "", position: 0)

            func write(to block: inout BlockWriter) {
                block.attribute("path", path, "Path of the file.")
                block.attribute("read_offset", Int(position), "Bytes of it that are delivered.")
            }
        }

        var files: [File]
        package static let placeholder = DebugInfo(files: [])
        package func write(to block: inout BlockWriter) { block.blocks("files", files, "One for each file.") }
    }

    package var debugInfo: DebugInfo {
        DebugInfo(files: engine.positions.map { DebugInfo.File(path: $0.path, position: $0.position) })
    }

    /// Reads until cancelled.
    package func run() async throws {
        let result: Result<Void, any Error>
        do {
            context.report(.healthy("ready"))
            while true {
                try await readRound()
                try await context.clock.sleep(for: max(arguments.current.pollInterval, .milliseconds(10)))
            }
        } catch {
            result = .failure(error)
        }
        await stop()
        try result.get()
    }

    /// Where what was delivered is remembered; nil is nowhere.
    private var statePath: String? {
        arguments.current.storage.map { storage in
            let name = context.componentID.map { $0 == "/" ? "_" : $0 }
            return "\(storage.directory)/receiver_\(String(name))/files.json"
        }
    }

    private func readRound() async throws {
        let statePath = statePath
        if let statePath {
            try await context.services.blocking.run { [engine] in
                if let directory = statePath.lastIndex(of: "/") {
                    try Files.makeDirectory(String(statePath[..<directory]))
                }
                try engine.load(statePath)
            }
        }
        while true {
            let reserved = Self.batchBytes * 4
            while !context.memory.admit(reserved) { try await context.clock.sleep(for: .milliseconds(100)) }
            defer { context.memory.release(reserved) }
            let (settings, clock) = (arguments.current.engine, context.clock)
            let (wall, now) = (context.clock.wallNanoseconds, context.clock.monotonicNanoseconds)
            let step = try await context.services.slots.withSlot {
                try await context.services.blocking.run { [engine] in
                    engine.step(settings, limit: Self.batchBytes, wall: wall, now: now)
                }
            }
            for path in step.opened { context.log.info("Started watching file", nil, ["path": path]) }
            for (path, problem) in step.problems {
                context.log.error("Failed to read file", nil, ["path": path, .error: problem])
            }
            do {
                try await delivery.deliver(StanzaEntry.batch(of: step.entries), keepsOnStop: true)
            } catch {
                engine.rollBack()
                throw error
            }
            delivery.book(step.tally)
            try await context.services.blocking.run { [engine] in
                engine.commit(settings)
                if let statePath { try engine.save(statePath, clock: clock) }
            }
            if step.isRoundOver { break }
        }
        openFiles.set(engine.positions.count)
    }

    /// Parts of logs that wait for more would be lost without a place to remember that: they are delivered as they are.
    private func stop() async {
        if statePath == nil {
            let step = engine.flush()
            delivery.book(step.tally)
            try? await delivery.deliver(StanzaEntry.batch(of: step.entries))
        } else {
            engine.rollBack()
        }
        let statePath = statePath
        do {
            try await context.services.blocking.run { [engine] in
                engine.close()
                if let statePath { try engine.save(statePath) }
            }
        } catch {
            context.log.error("Failed to remember how far files were read", error)
        }
    }
}
