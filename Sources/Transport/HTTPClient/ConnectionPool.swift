import Essentials
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import Synchronization

/// A connection able to carry one exchange now.
final class PooledConnection: Sendable {
    enum Kind: Sendable {
        case http1(NIOLoopBound<ClientChannelHandler>)
        case http2(NIOHTTP2Handler.StreamMultiplexer, HTTP2Watch)
    }

    private struct State {
        var isReused = false
        var idleSince = NIODeadline.uptimeNanoseconds(0)
        var activeStreams = 0
    }

    let channel: any Channel
    let kind: Kind
    let key: PoolKey
    let generation: Int
    private let unread: MemoryAccount?
    private let state = Mutex(State())

    init(_ connection: NewConnection, key: PoolKey, generation: Int, unread: MemoryAccount?) {
        self.unread = unread
        self.key = key
        self.generation = generation
        switch connection {
        case .http1(let channel, let handler):
            self.channel = channel
            kind = .http1(handler)
        case .http2(let channel, let multiplexer, let watch):
            self.channel = channel
            kind = .http2(multiplexer, watch)
        }
    }

    var isReused: Bool { state.withLock { $0.isReused } }
    var idleSince: NIODeadline { state.withLock { $0.idleSince } }
    var activeStreams: Int { state.withLock { $0.activeStreams } }

    func becameIdle() {
        state.withLock {
            $0.isReused = true
            $0.idleSince = .now()
        }
    }

    func openStream() { state.withLock { $0.activeStreams += 1 } }
    /// The streams left.
    func closeStream() -> Int {
        state.withLock {
            $0.activeStreams -= 1
            $0.isReused = true
            $0.idleSince = .now()
            return $0.activeStreams
        }
    }

    /// Starts the exchange; its outcome is told to the exchange alone.
    func start(
        _ head: HTTPRequestHead, body: ByteBuffer?, deadline: NIODeadline, headerLimit: Int, isSecure: Bool,
        ended: @escaping @Sendable (PooledConnection, Bool) -> Void
    ) -> ClientExchange {
        switch kind {
        case .http1(let handler):
            let eventLoop = channel.eventLoop
            let exchange = ClientExchange(
                head, body: body, deadline: deadline, isReused: isReused, bookedOn: unread,
                resumeReading: { eventLoop.execute { handler.value.resumeReading() } },
                close: { exchange in eventLoop.execute { handler.value.end(exchange) } })
            eventLoop.execute { [self] in
                handler.value.exchangeEnded = { ended(self, $0) }
                handler.value.start(exchange)
            }
            return exchange
        case .http2(let multiplexer, _):
            let stream = StreamHandle(channel.eventLoop)
            let exchange = ClientExchange(
                head, body: body, deadline: deadline, isReused: isReused, bookedOn: unread,
                resumeReading: { stream.resumeReading() }, close: { _ in stream.close() })
            let promise = channel.eventLoop.makePromise(of: (any Channel).self)
            promise.futureResult.whenFailure { [self] error in
                ended(self, false)
                let isUnsent = ExchangeFailure(error: .connectionClosed(.write), isUnsent: true)
                exchange.fail(isUnsent)
            }
            multiplexer.createStreamChannel(promise: promise) { [self] child in
                child.eventLoop.makeCompletedFuture {
                    let handler = ClientChannelHandler(headerLimit: headerLimit, isHTTP2: true)
                    let codec = HTTP2FramePayloadToHTTP1ClientCodec(httpProtocol: isSecure ? .https : .http)
                    try child.pipeline.syncOperations.addHandler(codec)
                    try child.pipeline.syncOperations.addHandler(handler)
                    stream.set(child, handler)
                    let once = OneShot<Void>()
                    handler.exchangeEnded = { _ in
                        if once.complete(.success(())) { ended(self, true) }
                    }
                    child.closeFuture.whenComplete { _ in
                        if once.complete(.success(())) { ended(self, false) }
                    }
                }
            }
            promise.futureResult.whenSuccess { _ in stream.start(exchange) }
            return exchange
        }
    }
}

/// Reaches a stream that is being opened.
private final class StreamHandle: Sendable {
    private struct State: Sendable {
        var channel: (any Channel)?
        var handler: NIOLoopBound<ClientChannelHandler>?
        var isClosed = false
    }

    private let eventLoop: any EventLoop
    private let state = Mutex(State())

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func set(_ channel: any Channel, _ handler: ClientChannelHandler) {
        let bound = NIOLoopBound(handler, eventLoop: eventLoop)
        let isClosed = state.withLock { state in
            state.channel = channel
            state.handler = bound
            return state.isClosed
        }
        if isClosed { channel.close(promise: nil) }
    }

    func start(_ exchange: ClientExchange) { state.withLock { $0.handler }?.value.start(exchange) }

    func resumeReading() {
        guard let handler = state.withLock({ $0.handler }) else { return }
        eventLoop.execute { handler.value.resumeReading() }
    }

    func close() {
        let channel = state.withLock { state in
            state.isClosed = true
            return state.channel
        }
        channel?.close(promise: nil)
    }
}

/// Connections that can carry the same requests.
struct PoolKey: Sendable, Hashable {
    let authority: Authority
    let proxy: HTTPURL?
}

/// The open connections of one client.
///
/// A request takes the connection used last, so that the rest grow old and are closed. Where HTTP/2 is possible and
/// not yet ruled out, requests wait for the first connection instead of opening one each.
final class ConnectionPool: Sendable {
    private enum Speech { case unknown, http1, http2 }

    private struct Entry {
        var idle: [PooledConnection] = []
        var shared: [PooledConnection] = []
        var speech = Speech.unknown
        var isConnecting = false
        var waiting: [OneShot<Void>] = []
        var isEmpty: Bool { idle.isEmpty && shared.isEmpty && !isConnecting && waiting.isEmpty }
    }

    private struct State {
        var entries: [PoolKey: Entry] = [:]
        var all: [ObjectIdentifier: PooledConnection] = [:]
        var isShutDown = false
        var isSweeping = false
    }

    private let state = Mutex(State())
    private let connector: Connector
    private let settings: HTTPClientSettings
    private let observer: any TransportObserver

    init(_ connector: Connector, observer: any TransportObserver) {
        self.connector = connector
        self.observer = observer
        settings = connector.settings
    }

    /// Connections open, in use or not.
    var count: Int { state.withLock { $0.all.count } }

    private enum Choice {
        case use(PooledConnection)
        case connect
        case wait(OneShot<Void>)
        case shutDown
    }

    /// A connection for one exchange, opened when none is free.
    func connection(
        for key: PoolKey, until deadline: NIODeadline, isFresh: Bool = false
    ) async throws(HTTPClientError) -> PooledConnection {
        let generation = key.authority.isSecure ? connector.tls.currentIfKnown()?.generation : 0
        var wantsFresh = isFresh
        while true {
            switch choose(key, generation, wantsFresh: wantsFresh) {
            case .use(let connection): return connection
            case .shutDown: throw .shutDown
            case .wait(let turn):
                try await wait(turn, until: deadline)
                wantsFresh = false
            case .connect: return try await open(key, deadline)
            }
        }
    }

    private func choose(_ key: PoolKey, _ generation: Int?, wantsFresh: Bool) -> Choice {
        var stale: [PooledConnection] = []
        defer { for connection in stale { connection.channel.close(promise: nil) } }
        return state.withLock { state in
            if state.isShutDown { return .shutDown }
            var entry = state.entries[key] ?? Entry()
            defer { state.entries[key] = entry }
            while !wantsFresh, let connection = entry.idle.popLast() {
                if connection.channel.isActive, generation == nil || connection.generation == generation {
                    return .use(connection)
                }
                stale.append(connection)
            }
            entry.shared.removeAll { connection in
                guard case .http2(_, let watch) = connection.kind else { return true }
                let isUsable =
                    connection.channel.isActive && !watch.isGoingAway
                    && (generation == nil || connection.generation == generation)
                if !isUsable, connection.activeStreams == 0 { stale.append(connection) }
                return !isUsable
            }
            for connection in entry.shared {
                guard case .http2(_, let watch) = connection.kind else { continue }
                if connection.activeStreams < watch.maximumStreams {
                    connection.openStream()
                    return .use(connection)
                }
            }
            let mayShare = settings.usesHTTP2PriorKnowledge || (key.authority.isSecure && settings.isHTTP2Enabled)
            if mayShare, entry.speech != .http1, entry.isConnecting {
                let turn = OneShot<Void>()
                entry.waiting.append(turn)
                return .wait(turn)
            }
            entry.isConnecting = true
            return .connect
        }
    }

    private func wait(_ turn: OneShot<Void>, until deadline: NIODeadline) async throws(HTTPClientError) {
        var timer: Scheduled<Void>?
        if deadline < .distantFuture {
            timer = connector.loops.group.next().scheduleTask(deadline: deadline) {
                _ = turn.complete(.failure(HTTPClientError.deadlineExceeded(.connect)))
            }
        }
        defer { timer?.cancel() }
        do {
            try await withTaskCancellationHandler {
                try await turn.value()
            } onCancel: {
                turn.complete(.failure(HTTPClientError.cancelled))
            }
        } catch {
            throw HTTPClientError(error, in: .connect)
        }
    }

    private func open(_ key: PoolKey, _ deadline: NIODeadline) async throws(HTTPClientError) -> PooledConnection {
        let made: (NewConnection, generation: Int)
        do {
            made = try await connector.connect(to: key.authority, through: key.proxy, until: deadline)
        } catch {
            finishConnecting(key, nil)
            observer.connectionFailed(.connect)
            throw error
        }
        let connection = PooledConnection(made.0, key: key, generation: made.generation, unread: connector.loops.unread)
        let isShutDown = state.withLock { state in
            state.all[ObjectIdentifier(connection)] = connection
            return state.isShutDown
        }
        observer.connectionOpened()
        connection.channel.closeFuture.whenComplete { [weak self, observer] _ in
            observer.connectionClosed()
            self?.forget(connection)
        }
        if case .http2 = connection.kind { connection.openStream() }
        finishConnecting(key, connection)
        if isShutDown {
            connection.channel.close(promise: nil)
            throw .shutDown
        }
        return connection
    }

    private func finishConnecting(_ key: PoolKey, _ connection: PooledConnection?) {
        let waiting = state.withLock { state -> [OneShot<Void>] in
            var entry = state.entries[key] ?? Entry()
            entry.isConnecting = false
            switch connection?.kind {
            case .http1: entry.speech = .http1
            case .http2:
                entry.speech = .http2
                if let connection { entry.shared.append(connection) }
            case nil: break
            }
            defer { state.entries[key] = entry.isEmpty ? nil : entry }
            // After a failure one of them tries next, so that a dead host costs one connection at a time.
            let woken = connection == nil ? Array(entry.waiting.prefix(1)) : entry.waiting
            entry.waiting.removeFirst(woken.count)
            return woken
        }
        for turn in waiting where !turn.complete(.success(())) && connection == nil {
            // It had given up; the next in line takes its place.
            finishConnecting(key, nil)
        }
    }

    /// Takes a connection back after an exchange.
    func giveBack(_ connection: PooledConnection, isUsable: Bool) {
        switch connection.kind {
        case .http1:
            guard isUsable, settings.keepsAlive else { return connection.channel.close(promise: nil) }
            connection.becameIdle()
            let isKept = state.withLock { state in
                guard !state.isShutDown else { return false }
                var entry = state.entries[connection.key] ?? Entry()
                guard entry.idle.count < settings.maximumIdleConnectionsPerHost else { return false }
                entry.idle.append(connection)
                state.entries[connection.key] = entry
                return true
            }
            if isKept { sweepLater() } else { connection.channel.close(promise: nil) }
        case .http2(_, let watch):
            let left = connection.closeStream()
            if left == 0, watch.isGoingAway || !settings.keepsAlive || state.withLock({ $0.isShutDown }) {
                connection.channel.close(promise: nil)
            }
            sweepLater()
        }
    }

    private func forget(_ connection: PooledConnection) {
        state.withLock { state in
            state.all[ObjectIdentifier(connection)] = nil
            guard var entry = state.entries[connection.key] else { return }
            entry.idle.removeAll { $0 === connection }
            entry.shared.removeAll { $0 === connection }
            state.entries[connection.key] = entry.isEmpty ? nil : entry
        }
    }

    // MARK: Idle connections

    private func sweepLater() {
        let isFirst = state.withLock { state in
            defer { state.isSweeping = true }
            return !state.isSweeping && !state.isShutDown
        }
        guard isFirst, settings.idleTimeout > .zero else { return }
        connector.loops.group.next().scheduleTask(in: (settings.idleTimeout / 2).timeAmount) { [weak self] in
            self?.sweep()
        }
    }

    private func sweep() {
        let limit = NIODeadline.now() - settings.idleTimeout.timeAmount
        let (old, isDone) = state.withLock { state -> ([PooledConnection], Bool) in
            var old: [PooledConnection] = []
            for (key, entry) in state.entries {
                let idle = entry.idle.filter { $0.idleSince <= limit }
                let shared = entry.shared.filter { $0.activeStreams == 0 && $0.idleSince <= limit }
                guard !idle.isEmpty || !shared.isEmpty else { continue }
                old += idle + shared
                state.entries[key]?.idle.removeAll { connection in idle.contains { $0 === connection } }
                state.entries[key]?.shared.removeAll { connection in shared.contains { $0 === connection } }
            }
            state.isSweeping = false
            return (old, state.all.count == old.count)
        }
        for connection in old { connection.channel.close(promise: nil) }
        if !isDone { sweepLater() }
    }

    /// Closes what is idle and lets nothing new begin; exchanges under way go on.
    func shutDown(closesActive: Bool) {
        let connections = state.withLock { state -> [PooledConnection] in
            state.isShutDown = true
            defer { state.entries = [:] }
            if closesActive { return Array(state.all.values) }
            return state.entries.values.flatMap { $0.idle + $0.shared.filter { $0.activeStreams == 0 } }
        }
        for connection in connections { connection.channel.close(promise: nil) }
    }

    /// Closes connections nobody uses.
    func closeIdle() {
        let connections = state.withLock { state -> [PooledConnection] in
            var found: [PooledConnection] = []
            for key in state.entries.keys {
                found += state.entries[key]?.idle ?? []
                state.entries[key]?.idle = []
            }
            return found
        }
        for connection in connections { connection.channel.close(promise: nil) }
    }
}
