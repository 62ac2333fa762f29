import Essentials
import NIOCore
import NIOHTTP1
import Synchronization

/// Carries the bytes of one body or connection from its event loop to the one task that reads them.
///
/// The event loop pushes until the pipe is full and then stops reading its socket; the reader restarts it when
/// half of the bytes are gone. What is held is bounded by the high mark plus what one read of the socket yields, and booked
/// on `account`; once its budget runs short the socket is read only when nothing is held.
final class ChunkPipe: Sendable {
    enum Ending {
        case end(HTTPHeaders?)
        case failed(any Error)
    }

    private struct State {
        var chunks = CircularBuffer<ByteBuffer>(initialCapacity: 4)
        var buffered = 0
        var ending: Ending?
        var isPaused = false
        /// Bytes still thrown away before `isExhausted`; nil while a reader wants them.
        var discardBudget: Int?
        var waiter: UnsafeContinuation<Void, Never>?
        var resumeReading: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>
    private let highMark: Int
    private let account: MemoryAccount?

    init(
        highMark: Int = 128 * 1024, bookedOn account: MemoryAccount?, resumeReading: (@Sendable () -> Void)? = nil
    ) {
        self.highMark = highMark
        self.account = account
        var state = State()
        state.resumeReading = resumeReading
        self.state = Mutex(state)
    }

    deinit { account?.release(state.withLock { $0.buffered }) }

    // MARK: The event loop's side

    /// Adds bytes; false when the reader has given up and more than it was willing to discard has come.
    @discardableResult
    func push(_ chunk: ByteBuffer) -> Bool {
        guard chunk.readableBytes > 0 else { return true }
        let (goesOn, waiter) = state.withLock { state -> (Bool, UnsafeContinuation<Void, Never>?) in
            if state.ending != nil { return (true, nil) }
            if let budget = state.discardBudget {
                state.discardBudget = budget - chunk.readableBytes
                return (budget >= chunk.readableBytes, nil)
            }
            state.chunks.append(chunk)
            state.buffered += chunk.readableBytes
            account?.book(chunk.readableBytes)
            defer { state.waiter = nil }
            return (true, state.waiter)
        }
        waiter?.resume()
        return goesOn
    }

    /// Whether the socket should not be read now; the reader will call `resumeReading`.
    func shouldPause() -> Bool {
        let mark = account?.isBudgetShort == true ? 1 : highMark
        return state.withLock { state in
            guard state.buffered >= mark, state.ending == nil, state.discardBudget == nil else { return false }
            state.isPaused = true
            return true
        }
    }

    /// Ends the pipe; what was pushed before is still read. Only the first ending counts.
    func end(_ ending: Ending) {
        let waiter = state.withLock { state -> UnsafeContinuation<Void, Never>? in
            guard state.ending == nil else { return nil }
            state.ending = ending
            state.resumeReading = nil
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Ends the pipe with an error and drops what was not read yet.
    func abort(_ error: any Error) {
        let waiter = state.withLock { state -> UnsafeContinuation<Void, Never>? in
            dropHeld(&state)
            if state.ending == nil { state.ending = .failed(error) }
            state.resumeReading = nil
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    private func dropHeld(_ state: inout State) {
        state.chunks.removeAll()
        account?.release(state.buffered)
        state.buffered = 0
    }

    // MARK: The reader's side

    var isEnded: Bool { state.withLock { $0.ending != nil } }

    /// Whether nothing is left to read: ended, and every chunk taken.
    var isDrained: Bool { state.withLock { $0.ending != nil && $0.chunks.isEmpty } }

    /// Trailer fields, once the end has been read.
    var trailers: HTTPHeaders? {
        state.withLock { if case .end(let trailers) = $0.ending { trailers } else { nil } }
    }

    /// Throws away what is held and the next `limit` bytes to come.
    func discard(upTo limit: Int) {
        let resume = state.withLock { state -> (@Sendable () -> Void)? in
            dropHeld(&state)
            state.discardBudget = limit
            defer { state.isPaused = false }
            return state.isPaused ? state.resumeReading : nil
        }
        resume?()
    }

    private enum Step {
        case chunk(ByteBuffer, (@Sendable () -> Void)?)
        case end
        case failed(any Error)
        case wait
    }

    private func step() -> Step {
        state.withLock { state in
            if let chunk = state.chunks.popFirst() {
                state.buffered -= chunk.readableBytes
                account?.release(chunk.readableBytes)
                guard state.isPaused, state.buffered <= highMark / 2 else { return .chunk(chunk, nil) }
                state.isPaused = false
                return .chunk(chunk, state.resumeReading)
            }
            switch state.ending {
            case .none: return .wait
            case .end: return .end
            case .failed(let error): return .failed(error)
            }
        }
    }

    /// The next chunk, nil at the end; throws what the pipe was ended with, or `CancellationError`.
    func next() async throws -> ByteBuffer? {
        while true {
            switch step() {
            case .chunk(let chunk, let resume):
                resume?()
                return chunk
            case .end: return nil
            case .failed(let error): throw error
            case .wait: try await wait()
            }
        }
    }

    /// Waits until there is something to read or the pipe has ended.
    private func wait() async throws {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                let isReady = state.withLock { state in
                    if !state.chunks.isEmpty || state.ending != nil || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }
        try Task.checkCancellation()
    }
}
