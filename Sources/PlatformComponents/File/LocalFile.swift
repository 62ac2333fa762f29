package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization

/// Exports the content of a file, and again whenever it changes.
package final class LocalFile: Component {
    package static let spec = ComponentSpec(
        "local.file", .generallyAvailable, "Exports the content of a file and follows its changes.")

    /// How changes are noticed.
    package enum Detector: String, AlloyWord {
        case fsnotify, poll

        package static var placeholder: Detector { .fsnotify }
    }

    package struct Arguments: Block {
        let filename: String
        let detector: Detector
        let pollFrequency: Duration
        let isSecret: Bool

        package init(from block: inout BlockReader) {
            filename = block.required("filename", "Path of the file.")
            detector = block.optional(
                "detector", default: .fsnotify,
                "How changes are noticed: `fsnotify` by the kernel's events, with polling beside it, or `poll` alone.")
            pollFrequency = block.optional(
                "poll_frequency", default: .seconds(60), "How often the file is read when no event says so.")
            isSecret = block.optional("is_secret", default: false, "Whether the content is a secret.")
            if pollFrequency <= .zero { block.reject("poll_frequency", "must be greater than 0") }
        }
    }

    package typealias Exports = ContentExports

    private struct Watched: Equatable, Sendable {
        var filename: String
        var detector: Detector
        var pollFrequency: Duration
    }

    /// Changes that come together are read once: a writer gets this long to finish.
    private static let settleTime = Duration.milliseconds(30)
    private static let maximumSize = ByteCount.mebibytes(64)

    private let arguments: Live<Arguments>
    private let context: Context<ContentExports>
    private let lastAccess: Gauge

    package init(_ arguments: Live<Arguments>, _ context: Context<ContentExports>) throws {
        self.arguments = arguments
        self.context = context
        lastAccess = context.metrics.gauge(
            "local_file_timestamp_last_accessed_unix_seconds", "The last successful access in unix seconds")
        // Dependents need the content at once: a file that is missing at the start is an error of the configuration.
        do {
            try read()
        } catch {
            throw ContentError(reason: "failed to read file: \(error)")
        }
    }

    package func argumentsChanged() { try? read() }

    package func run() async throws {
        try await arguments.whileCurrent({
            Watched(filename: $0.filename, detector: $0.detector, pollFrequency: $0.pollFrequency)
        }) { [self] watched in
            switch watched.detector {
            case .poll: try await poll(every: watched.pollFrequency)
            case .fsnotify: try await watch(watched)
            }
        }
    }

    private func poll(every period: Duration) async throws {
        while true {
            try await context.clock.sleep(for: period)
            await refresh()
        }
    }

    private func watch(_ watched: Watched) async throws {
        guard let events = FileEvents(watched.filename) else {
            context.log.warn("Cannot watch files; the file is polled", nil, ["path": watched.filename])
            return try await poll(every: watched.pollFrequency)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                while true {
                    try await context.clock.sleep(for: watched.pollFrequency)
                    events.watchAgain()
                    await refresh()
                }
            }
            group.addTask { [self] in
                while try await events.next() {
                    try await context.clock.sleep(for: Self.settleTime)
                    events.watchAgain()
                    await refresh()
                }
            }
            try await group.waitForAll()
        }
    }

    private func refresh() async {
        _ = try? await context.services.blocking.run { [self] in try read() }
    }

    /// Reads and exports. On failure the last good content stays exported and the health says why.
    private func read() throws {
        let settings = arguments.current
        do {
            let text = try Files.readText(settings.filename, limit: Self.maximumSize)
            lastAccess.set(Double(context.clock.wallNanoseconds) / 1e9)
            context.export(ContentExports(content: .make(text, isSecret: settings.isSecret)))
            context.report(.healthy("read file"))
        } catch {
            context.log.error("Failed to read file", error, ["path": settings.filename])
            context.report(.unhealthy("failed to read file: \(error)"))
            throw error
        }
    }
}

/// A text from outside, secret where the configuration says so.
package struct ContentExports: WritableBlock {
    package var content: OptionalSecret
    package static let placeholder = ContentExports(content: .plain(""))

    package func write(to block: inout BlockWriter) {
        block.attribute("content", content, "The content; a secret when `is_secret` is set.")
    }
}

extension OptionalSecret {
    static func make(_ text: String, isSecret: Bool) -> OptionalSecret {
        isSecret ? .secret(Secret(text)) : .plain(text)
    }
}

/// Why there is no content yet.
struct ContentError: Error, CustomStringConvertible {
    var reason: String
    var description: String { reason }
}
