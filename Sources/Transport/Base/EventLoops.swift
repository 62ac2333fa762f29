import NIOCore
import NIOPosix

/// The threads every socket of the process runs on, and the few threads blocking calls are sent to.
///
/// One value is made at start and handed to every server, client and listener.
package final class EventLoops: Sendable {
    let group: MultiThreadedEventLoopGroup
    let blocking: NIOThreadPool

    /// Starts `threads` event loops and `blockingThreads` threads for `getaddrinfo` and file reads.
    package init(threads: Int = System.coreCount, blockingThreads: Int = 4) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, threads))
        blocking = NIOThreadPool(numberOfThreads: max(1, blockingThreads))
        blocking.start()
    }

    deinit {
        group.shutdownGracefully { _ in }
        blocking.shutdownGracefully { _ in }
    }

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
