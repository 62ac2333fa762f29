import Essentials
import Glibc
import Synchronization

/// The kernel's word that a file may have changed (inotify(7)).
///
/// The directory is watched rather than the file: editors and Kubernetes replace files by renaming, after which a
/// watch on the file itself would see the old one. A thread waits for events; it ends with the last reference.
final class FileEvents: Sendable {
    private struct State {
        var isPending = false
        var isClosed = false
        var waiter: CheckedContinuation<Bool, Never>?
    }

    /// What the thread shares with the owner; it must not hold the owner, or neither would end.
    private final class Shared: Sendable {
        let state = Mutex(State())

        func signal() {
            let waiter = state.withLock { state in
                guard let waiter = state.waiter else {
                    state.isPending = true
                    return nil as CheckedContinuation<Bool, Never>?
                }
                state.waiter = nil
                return waiter
            }
            waiter?.resume(returning: true)
        }
    }

    private static let mask = UInt32(
        IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF
            | IN_MOVE_SELF)

    private let path: String
    private let descriptor: CInt
    /// Written to once, to end the thread.
    private let stop: CInt
    private let shared = Shared()

    /// Nil when the kernel grants no watch, for example past its limits.
    init?(_ path: String) {
        self.path = path
        descriptor = inotify_init1(CInt(IN_CLOEXEC) | CInt(IN_NONBLOCK))
        guard descriptor >= 0 else { return nil }
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else {
            close(descriptor)
            return nil
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        stop = ends[1]
        guard addWatches() else {
            close(descriptor)
            close(ends[0])
            close(ends[1])
            return nil
        }
        let (descriptor, shared, stopped) = (descriptor, shared, ends[0])
        DetachedThread(name: "file-events") { Self.wait(descriptor, stopped, shared) }.start()
    }

    deinit { close(stop) }

    /// Establishes watches that ended because the directory was replaced; harmless otherwise.
    func watchAgain() { _ = addWatches() }

    /// Waits until the file may have changed since the last call; false when cancelled.
    func next() async throws -> Bool {
        let changed = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result: Bool? = shared.state.withLock { state in
                    if state.isClosed { return false }
                    if state.isPending {
                        state.isPending = false
                        return true
                    }
                    state.waiter = continuation
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            let waiter = shared.state.withLock { state in
                state.isClosed = true
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: false)
        }
        try Task.checkCancellation()
        return changed
    }

    private func addWatches() -> Bool {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { path[..<$0].isEmpty ? "/" : String(path[..<$0]) } ?? "."
        let isWatched = inotify_add_watch(descriptor, directory, Self.mask) >= 0
        // The file's own watch sees changes through a link whose target lies elsewhere.
        let isFileWatched = inotify_add_watch(descriptor, path, Self.mask) >= 0
        return isWatched || isFileWatched
    }

    private static func wait(_ descriptor: CInt, _ stopped: CInt, _ shared: Shared) {
        defer {
            close(descriptor)
            close(stopped)
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 8)
        defer { buffer.deallocate() }
        while true {
            var polled = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: stopped, events: 0, revents: 0),
            ]
            let count = poll(&polled, 2, -1)
            if count < 0, errno != EINTR { return }
            if polled[1].revents != 0 { return }
            guard polled[0].revents != 0 else { continue }
            let got = read(descriptor, buffer.baseAddress, buffer.count)
            if got < 0, errno != EINTR, errno != EAGAIN { return }
            // Which file of the directory it was does not matter: reading again costs little, and links may lead
            // from one name to another.
            if got > 0 { shared.signal() }
        }
    }
}
