import Essentials
import Storage
import Synchronization

/// Which files are looked at, which wait to be read and which are being read.
///
/// A file is in one place at a time: idle, ready, or with whoever took it, who gives it back.
final class FileQueue: Sendable {
    private struct State: ~Copyable {
        var files: [PositionKey: TailedFile] = [:]
        var idle: [TailedFile] = []
        var ready: [TailedFile] = []
        /// Index of the first ready file.
        var head = 0
        var waiters: [(id: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
        /// Waiters without a continuation yet; true once cancelled.
        var arriving: [UInt64: Bool] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Every file, in no order.
    var files: [TailedFile] { state.withLock { Array($0.files.values) } }
    var keys: Set<PositionKey> { state.withLock { Set($0.files.keys) } }

    /// The file of `key`, wherever it is.
    func file(_ key: PositionKey) -> TailedFile? { state.withLock { $0.files[key] } }

    /// Adds a file, idle; false when its key is there already.
    func add(_ file: TailedFile) -> Bool {
        state.withLock { state in
            guard state.files[file.key] == nil else { return false }
            state.files[file.key] = file
            state.idle.append(file)
            return true
        }
    }

    /// Takes a file out. Returns it when nobody has it, so that the caller closes it; whoever has it learns on giving it
    /// back.
    func remove(_ key: PositionKey) -> TailedFile? {
        state.withLock { state in
            guard let file = state.files.removeValue(forKey: key) else { return nil }
            if let index = state.idle.firstIndex(where: { $0 === file }) {
                state.idle.remove(at: index)
                return file
            }
            if let index = state.ready[state.head...].firstIndex(where: { $0 === file }) {
                state.ready.remove(at: index)
                return file
            }
            return nil
        }
    }

    /// Takes the idle files whose time to be looked at has come.
    func takeDue(_ now: Int64) -> [TailedFile] {
        state.withLock { state in
            var due: [TailedFile] = []
            state.idle.removeAll { file in
                guard file.nextLook <= now else { return false }
                due.append(file)
                return true
            }
            return due
        }
    }

    /// Gives a file back. False when it was removed meanwhile: the caller closes it.
    func giveBack(_ file: TailedFile, as activity: FileTail.Activity, first: Bool = false) -> Bool {
        giveBack([(file, activity)], first: first).isEmpty
    }

    /// Gives files back together, so that whoever waits for ready ones finds all of them. Returns those that were removed
    /// meanwhile: the caller closes them.
    func giveBack(_ returned: [(file: TailedFile, activity: FileTail.Activity)], first: Bool = false) -> [TailedFile] {
        var removed: [TailedFile] = []
        var waiter: CheckedContinuation<Bool, Never>?
        state.withLock { state in
            for (file, activity) in returned {
                guard state.files[file.key] === file else {
                    removed.append(file)
                    continue
                }
                switch activity {
                case .idle: state.idle.append(file)
                case .finished: break
                case .readable: Self.makeReady(file, first: first, &state)
                }
            }
            if state.head < state.ready.count, !state.waiters.isEmpty {
                waiter = state.waiters.removeFirst().continuation
            }
        }
        waiter?.resume(returning: true)
        return removed
    }

    private static func makeReady(_ file: TailedFile, first: Bool, _ state: inout State) {
        if first, state.head > 0 {
            state.head -= 1
            state.ready[state.head] = file
        } else if first {
            state.ready.insert(file, at: 0)
        } else {
            state.ready.append(file)
        }
    }

    /// Takes up to `count` ready files, a compressed one alone; waits while there is none.
    func takeReady(upTo count: Int) async throws -> [TailedFile] {
        while true {
            let taken = state.withLock { state in Self.take(&state, count) }
            if !taken.isEmpty { return taken }
            if await !waitForReady() { throw CancellationError() }
        }
    }

    private static func take(_ state: inout State, _ count: Int) -> [TailedFile] {
        var taken: [TailedFile] = []
        while state.head < state.ready.count, taken.count < count {
            let file = state.ready[state.head]
            if file.isCompressed, !taken.isEmpty { break }
            taken.append(file)
            state.head += 1
            if file.isCompressed { break }
        }
        if state.head == state.ready.count {
            state.ready.removeAll(keepingCapacity: true)
            state.head = 0
        } else if state.head > 1024 {
            state.ready.removeFirst(state.head)
            state.head = 0
        }
        return taken
    }

    private func waitForReady() async -> Bool {
        let id = state.withLock { state in
            state.nextWaiter += 1
            state.arriving[state.nextWaiter] = false
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result: Bool? = state.withLock { state in
                    if state.arriving.removeValue(forKey: id) == true { return false }
                    if state.head < state.ready.count { return true }
                    state.waiters.append((id, continuation))
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                    if state.arriving[id] != nil { state.arriving[id] = true }
                    return nil as CheckedContinuation<Bool, Never>?
                }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume(returning: false)
        }
    }
}
