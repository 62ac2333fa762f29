import NIOCore

/// A deadline that moves often, on one event loop.
///
/// Moving it later costs a store: the pending wake-up finds the new deadline when it fires. A connection that
/// answers once a second therefore schedules a timer once per timeout and not once per request.
final class LoopTimer {
    private let eventLoop: any EventLoop
    private let expire: () -> Void
    private var deadline = NIODeadline.distantFuture
    private var armed = NIODeadline.distantFuture
    private var scheduled: Scheduled<Void>?

    init(on eventLoop: any EventLoop, expire: @escaping () -> Void) {
        self.eventLoop = eventLoop
        self.expire = expire
    }

    /// Expires at `deadline` instead of what was set before; `.distantFuture` is never.
    func set(_ deadline: NIODeadline) {
        self.deadline = deadline
        guard deadline < armed else { return }
        scheduled?.cancel()
        arm()
    }

    /// Expires no more until set again.
    func clear() {
        deadline = .distantFuture
    }

    /// Drops the pending wake-up; the owner is going away.
    func stop() {
        deadline = .distantFuture
        armed = .distantFuture
        scheduled?.cancel()
        scheduled = nil
    }

    private func arm() {
        armed = deadline
        scheduled = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in self?.fire() }
    }

    private func fire() {
        scheduled = nil
        armed = .distantFuture
        guard deadline != .distantFuture else { return }
        if deadline <= .now() {
            deadline = .distantFuture
            expire()
        } else {
            arm()
        }
    }
}
