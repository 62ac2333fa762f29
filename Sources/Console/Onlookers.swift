import Synchronization
import Transport

/// Everyone who looks on at a live stream, so that nobody holds up the end of the program.
final class Onlookers: Sendable {
    private struct State {
        var isClosed = false
        var nextID: UInt64 = 0
        var waiting: [UInt64: AsyncStream<Never>.Continuation] = [:]
    }

    private let state = Mutex(State())

    /// Writes with `body` until it ends, the reader has gone, or ``close()`` is called.
    func serve(_ writer: HTTPBodyWriter, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let (closing, continuation) = AsyncStream.makeStream(of: Never.self)
        let id = state.withLock { state -> UInt64? in
            if state.isClosed { return nil }
            state.nextID += 1
            state.waiting[state.nextID] = continuation
            return state.nextID
        }
        guard let id else { return }
        defer { state.withLock { _ = $0.waiting.removeValue(forKey: id) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            // Where nothing passes, nothing is written that would notice that the reader has gone.
            group.addTask { await writer.waitForDisconnection() }
            group.addTask { for await _ in closing {} }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Ends every stream, and those that would begin later.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.finish() }
    }
}
