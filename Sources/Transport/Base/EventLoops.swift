package import Essentials
import NIOCore
import NIOPosix
import Synchronization

/// The threads every socket of the process runs on, and the few threads blocking calls are sent to.
///
/// One value is made at start and handed to every server, client and listener.
package final class EventLoops: Sendable {
    let group: MultiThreadedEventLoopGroup
    let blocking: NIOThreadPool
    /// Where bytes are booked that sockets brought and nobody has read yet.
    let unread: MemoryAccount?
    private let threads: Int
    private let startedWork = Mutex<WorkLoops?>(nil)

    /// Starts `threads` event loops and `blockingThreads` threads for `getaddrinfo` and file reads. Bytes on their way from
    /// sockets to their readers are booked on `budget`.
    package init(threads: Int = System.coreCount, blockingThreads: Int = 4, budget: MemoryBudget? = nil) {
        unread = budget?.account("sockets")
        group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, threads))
        self.threads = threads
        blocking = NIOThreadPool(numberOfThreads: max(1, blockingThreads))
        blocking.start()
    }

    deinit {
        group.shutdownGracefully { _ in }
        blocking.shutdownGracefully { _ in }
    }

    /// The loops that pipelines run on; started when first asked for.
    package var work: WorkLoops {
        startedWork.withLock { started in
            if let started { return started }
            let made = WorkLoops(threads: threads)
            started = made
            return made
        }
    }

    /// Whether the caller runs on a loop of ``work``, where blocking for a moment holds up no server.
    package var isOnWorkLoop: Bool { startedWork.withLock { $0 }?.current != nil }

    /// The loop for a new connection: that of the task that opens it, if it runs on one of ``work``.
    var connectionLoop: any EventLoop { startedWork.withLock { $0 }?.current ?? group.next() }

    /// Runs a blocking call away from the event loops and the cooperative pool.
    package func runBlocking<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await blocking.runIfActive(body)
    }
}

extension Duration {
    /// The same span for an event loop; a span beyond 292 years is cut to it.
    var timeAmount: TimeAmount {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return .nanoseconds(seconds < 0 ? Int64.min : Int64.max) }
        let (sum, carry) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return .nanoseconds(carry ? Int64.max : sum)
    }
}

extension NIODeadline {
    /// The moment `span` from now, or never when `span` is nil or not positive.
    static func after(_ span: Duration?) -> NIODeadline {
        guard let span, span > .zero else { return .distantFuture }
        let nanoseconds = span.timeAmount.nanoseconds
        // Two hundred years are never: adding more would overflow the loop's clock.
        guard nanoseconds < Int64.max / 2 else { return .distantFuture }
        return .now() + .nanoseconds(nanoseconds)
    }
}
