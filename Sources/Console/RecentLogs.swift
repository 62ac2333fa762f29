import Essentials
import Synchronization

/// Passes log lines on and keeps the last of them for the support bundle.
package final class RecentLogs: Sendable {
    private let lines = Mutex<[[UInt8]]>([])
    private let limit = 1_000

    package init() {}

    /// Keeps a line as it was written out.
    package func keep(_ line: [UInt8]) {
        lines.withLock { lines in
            if lines.count >= limit { lines.removeFirst(limit / 4) }
            lines.append(line)
        }
    }

    /// The lines kept, oldest first.
    package var text: [UInt8] { lines.withLock { Array($0.joined()) } }
}
