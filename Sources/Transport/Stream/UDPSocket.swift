package import Essentials
import NIOCore
import NIOPosix
import Synchronization

/// Datagrams in and out of one address.
///
/// Up to `receiveBuffer` bytes wait for the reader; then the socket is not read and the kernel drops what its own
/// buffer does not hold.
package final class UDPSocket: Sendable {
    /// One datagram and where it came from.
    package struct Datagram: Sendable {
        /// The payload.
        package let bytes: [UInt8]
        /// The sender.
        package let sender: SocketAddress
    }

    /// The address bound, with the real port when 0 was asked for.
    package let address: SocketAddress
    private let channel: any Channel
    private let queue: DatagramQueue
    private let isConnected: Bool

    private init(_ channel: any Channel, _ queue: DatagramQueue, isConnected: Bool) {
        self.channel = channel
        self.queue = queue
        self.isConnected = isConnected
        address = SocketAddress(channel.localAddress)
    }

    deinit { channel.close(promise: nil) }

    /// Receives what is sent to `address`.
    package static func bind(
        _ address: SocketAddress, receiveBuffer: ByteCount = .mebibytes(1), kernelBuffer: ByteCount? = nil,
        on loops: EventLoops
    ) async throws(TransportError) -> UDPSocket {
        let queue = DatagramQueue(capacity: receiveBuffer.bytes, bookedOn: loops.unread)
        do {
            let bootstrap = bootstrap(queue, loops, kernelBuffer)
            guard case .host(let host, let port) = address else {
                throw TransportError.bind(address: address.text, reason: "not an internet address")
            }
            let channel: any Channel
            if host.isEmpty {
                do {
                    channel = try await bootstrap.bind(host: "::", port: port).get()
                } catch let error as IOError where error.errnoCode != 98 && error.errnoCode != 13 {
                    channel = try await Self.bootstrap(queue, loops, kernelBuffer).bind(host: "0.0.0.0", port: port)
                        .get()
                }
            } else {
                channel = try await bootstrap.bind(host: host, port: port).get()
            }
            return UDPSocket(channel, queue, isConnected: false)
        } catch let error as TransportError {
            throw error
        } catch {
            throw .bind(address: address.text, reason: bindReason(error))
        }
    }

    /// Exchanges datagrams with one peer; the kernel drops what others send.
    package static func connect(
        to address: SocketAddress, receiveBuffer: ByteCount = .mebibytes(1), on loops: EventLoops
    ) async throws(TransportError) -> UDPSocket {
        guard case .host(let host, let port) = address else { throw .connection("not an internet address") }
        let queue = DatagramQueue(capacity: receiveBuffer.bytes, bookedOn: loops.unread)
        do {
            let peer = try await loops.runBlocking {
                try NIOCore.SocketAddress.makeAddressResolvingHost(host, port: port)
            }
            return UDPSocket(try await bootstrap(queue, loops).connect(to: peer).get(), queue, isConnected: true)
        } catch {
            throw TransportError(error)
        }
    }

    private static func bootstrap(
        _ queue: DatagramQueue, _ loops: EventLoops, _ kernelBuffer: ByteCount? = nil
    ) -> DatagramBootstrap {
        var bootstrap = DatagramBootstrap(group: loops.group)
        if let kernelBuffer {
            let size = SocketOptionValue(clamping: kernelBuffer.bytes)
            bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: size)
        }
        return
            bootstrap
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65_536))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramHandler(queue))
                }
            }
    }

    /// The next datagram; throws when the socket is closed or the task cancelled.
    package func next() async throws(TransportError) -> Datagram {
        do {
            return try await queue.next()
        } catch {
            throw TransportError(error)
        }
    }

    /// Sends a datagram to `address`, a literal; nil on a connected socket.
    package func send(_ bytes: [UInt8], to address: SocketAddress? = nil) async throws(TransportError) {
        do {
            if isConnected {
                try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
            } else {
                guard case .host(let host, let port)? = address else { throw TransportError.connection("no address") }
                let remote = try NIOCore.SocketAddress(ipAddress: host, port: port)
                let envelope = AddressedEnvelope(remoteAddress: remote, data: ByteBuffer(bytes: bytes))
                try await channel.writeAndFlush(envelope).get()
            }
        } catch {
            // A socket that was closed because its time was over says so.
            throw TransportError(queue.ending ?? error)
        }
    }

    /// Closes the socket; a reader gets an error.
    package func close() { channel.close(promise: nil) }

    /// Ends a reader's wait with `timeout` unless the answer is cancelled before.
    func expire(at deadline: NIODeadline) -> Scheduled<Void> {
        channel.eventLoop.scheduleTask(deadline: deadline) { [queue, channel] in
            queue.end(TransportError.timeout)
            channel.close(promise: nil)
        }
    }
}

/// Datagrams between the event loop and the reader.
private final class DatagramQueue: Sendable {
    private struct State {
        var datagrams = CircularBuffer<UDPSocket.Datagram>()
        var bytes = 0
        var ending: (any Error)?
        var isPaused = false
        var waiter: UnsafeContinuation<Void, Never>?
        var resume: (@Sendable () -> Void)?
    }

    /// What a datagram costs beside its payload, so that empty ones are bounded too.
    private static let overhead = 128

    private let capacity: Int
    private let account: MemoryAccount?
    private let state = Mutex(State())

    init(capacity: Int, bookedOn account: MemoryAccount?) {
        self.capacity = capacity
        self.account = account
    }

    deinit { account?.release(state.withLock { $0.bytes }) }

    func setResume(_ resume: @escaping @Sendable () -> Void) { state.withLock { $0.resume = resume } }

    func push(_ datagram: UDPSocket.Datagram) {
        let waiter = state.withLock { state in
            state.datagrams.append(datagram)
            state.bytes += datagram.bytes.count + Self.overhead
            account?.book(datagram.bytes.count + Self.overhead)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    func shouldPause() -> Bool {
        state.withLock { state in
            guard state.bytes >= capacity, state.ending == nil else { return false }
            state.isPaused = true
            return true
        }
    }

    func end(_ error: any Error) {
        let waiter = state.withLock { state in
            if state.ending == nil { state.ending = error }
            state.resume = nil
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    var ending: (any Error)? { state.withLock { $0.ending } }

    func next() async throws -> UDPSocket.Datagram {
        while true {
            let (datagram, resume, ending) = state.withLock {
                state -> (UDPSocket.Datagram?, (@Sendable () -> Void)?, (any Error)?) in
                guard let datagram = state.datagrams.popFirst() else { return (nil, nil, state.ending) }
                state.bytes -= datagram.bytes.count + Self.overhead
                account?.release(datagram.bytes.count + Self.overhead)
                guard state.isPaused, state.bytes <= capacity / 2 else { return (datagram, nil, nil) }
                state.isPaused = false
                return (datagram, state.resume, nil)
            }
            if let datagram {
                resume?()
                return datagram
            }
            if let ending { throw ending }
            await wait()
            try Task.checkCancellation()
        }
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                let isReady = state.withLock { state in
                    if !state.datagrams.isEmpty || state.ending != nil || Task.isCancelled { return true }
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
    }
}

private final class DatagramHandler: ChannelDuplexHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundIn = Any

    private let queue: DatagramQueue
    private var isReadHeld = false
    private var context: ChannelHandlerContext?

    init(_ queue: DatagramQueue) { self.queue = queue }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        queue.setResume { bound.eventLoop.execute { bound.value.resumeReading() } }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        queue.end(TransportError.connection("socket closed"))
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // The payload is copied out: the buffer it came in is 64 KiB whatever the payload.
        let envelope = unwrapInboundIn(data)
        queue.push(
            UDPSocket.Datagram(
                bytes: Array(envelope.data.readableBytesView), sender: SocketAddress(envelope.remoteAddress)))
    }

    func read(context: ChannelHandlerContext) {
        if queue.shouldPause() { isReadHeld = true } else { context.read() }
    }

    private func resumeReading() {
        guard isReadHeld, let context else { return }
        isReadHeld = false
        context.read()
    }

    /// A refused datagram (ICMP) is an error of the peer, not of the socket.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}

    func channelInactive(context: ChannelHandlerContext) {
        queue.end(TransportError.connection("socket closed"))
        context.fireChannelInactive()
    }
}
