import Essentials
import NIOCore

/// One step of talking a proxy into a tunnel.
enum ProxyStep {
    case send([UInt8])
    case wait
    case done
}

/// A CONNECT (RFC 9110, 9.3.6) or SOCKS5 (RFC 1928, RFC 1929) handshake: bytes in, bytes out.
struct ProxyHandshake {
    private enum State {
        case connect
        case socksMethod
        case socksPassword
        case socksReply
    }

    private static let maximumReply = 16 * 1024

    private var state: State
    private var input: [UInt8] = []
    private let proxy: HTTPURL
    private let host: String
    private let port: Int
    private let fields: [(String, String)]

    /// Bytes the server behind the proxy sent already.
    var leftOver: [UInt8] { input }

    init(_ proxy: HTTPURL, to host: String, port: Int, fields: [(String, String)]) {
        self.proxy = proxy
        self.host = host
        self.port = port
        self.fields = fields
        state = proxy.scheme.hasPrefix("socks5") ? .socksMethod : .connect
    }

    /// The first bytes to send.
    func start() -> [UInt8] {
        guard case .connect = state else { return proxy.user == nil ? [5, 1, 0] : [5, 2, 0, 2] }
        let authority = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        var text = "CONNECT \(authority) HTTP/1.1\r\nHost: \(authority)\r\n"
        if let authorization = proxy.basicAuthorization { text += "Proxy-Authorization: \(authorization)\r\n" }
        for (name, value) in fields { text += "\(name): \(value)\r\n" }
        return Array((text + "\r\n").utf8)
    }

    /// Takes what the proxy sent.
    mutating func receive(_ bytes: some Sequence<UInt8>) throws(HTTPClientError) -> ProxyStep {
        input.append(contentsOf: bytes)
        switch state {
        case .connect: return try receiveConnect()
        case .socksMethod: return try receiveMethod()
        case .socksPassword:
            guard input.count >= 2 else { return .wait }
            guard input[1] == 0 else { throw .proxy("username or password refused") }
            input.removeFirst(2)
            state = .socksReply
            return .send(try socksRequest())
        case .socksReply: return try receiveReply()
        }
    }

    private mutating func receiveConnect() throws(HTTPClientError) -> ProxyStep {
        let end = input.firstEndOfHead
        guard let end else {
            if input.count > Self.maximumReply { throw .proxy("reply larger than \(Self.maximumReply) bytes") }
            return .wait
        }
        let line = String(decoding: input.prefix { $0 != 13 && $0 != 10 }, as: UTF8.self)
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), parts[1].utf8.count == 3, let status = Int(parts[1])
        else { throw .proxy("malformed reply") }
        if status == 200 {
            input.removeFirst(end)
            return .done
        }
        if status >= 100, status < 200 {
            input.removeFirst(end)
            return try receive(EmptyCollection())
        }
        throw .proxy(HTTPStatus(status).reason.isEmpty ? "status \(status)" : HTTPStatus(status).reason)
    }

    private mutating func receiveMethod() throws(HTTPClientError) -> ProxyStep {
        guard input.count >= 2 else { return .wait }
        guard input[0] == 5 else { throw .proxy("not a SOCKS5 proxy") }
        let method = input[1]
        input.removeFirst(2)
        switch method {
        case 0:
            state = .socksReply
            return .send(try socksRequest())
        case 2:
            let user = Array((proxy.user ?? "").utf8)
            let password = Array((proxy.password ?? "").utf8)
            guard (1...255).contains(user.count), password.count <= 255 else {
                throw .proxy("username or password too long")
            }
            state = .socksPassword
            return .send([1, UInt8(user.count)] + user + [UInt8(password.count)] + password)
        default: throw .proxy("no acceptable authentication method")
        }
    }

    private func socksRequest() throws(HTTPClientError) -> [UInt8] {
        var bytes: [UInt8] = [5, 1, 0]
        switch IPLiteral(host) {
        case .v4(let address): bytes += [1] + address
        case .v6(let address): bytes += [4] + address
        case nil:
            let name = Array(host.utf8)
            guard name.count <= 255 else { throw .proxy("host name too long") }
            bytes += [3, UInt8(name.count)] + name
        }
        return bytes + [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)]
    }

    private mutating func receiveReply() throws(HTTPClientError) -> ProxyStep {
        guard input.count >= 5 else { return .wait }
        guard input[0] == 5 else { throw .proxy("not a SOCKS5 proxy") }
        guard input[1] == 0 else { throw .proxy("connect refused with code \(input[1])") }
        let length: Int
        switch input[3] {
        case 1: length = 4 + 4 + 2
        case 4: length = 4 + 16 + 2
        case 3: length = 4 + 1 + Int(input[4]) + 2
        default: throw .proxy("malformed reply")
        }
        guard input.count >= length else { return .wait }
        input.removeFirst(length)
        return .done
    }
}

extension HTTPURL {
    /// The `Basic` value of the URL's user and password.
    var basicAuthorization: String? {
        guard let user else { return nil }
        return "Basic " + Base64.encode(Array("\(user):\(password ?? "")".utf8))
    }
}

extension [UInt8] {
    /// The index after the first empty line.
    fileprivate var firstEndOfHead: Int? {
        guard count >= 4 else { return nil }
        for index in 3..<count
        where self[index] == 10 && self[index - 1] == 13 && self[index - 2] == 10 && self[index - 3] == 13 {
            return index + 1
        }
        return nil
    }
}

/// Runs the handshake at the head of a fresh connection; what follows in the pipeline sees it active afterwards.
final class ProxyHandshakeHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var handshake: ProxyHandshake
    private var isDone = false

    init(_ handshake: ProxyHandshake) { self.handshake = handshake }

    func channelActive(context: ChannelHandlerContext) {
        send(handshake.start(), context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return context.fireChannelRead(data) }
        var bytes = Array(unwrapInboundIn(data).readableBytesView)
        do {
            while true {
                switch try handshake.receive(bytes) {
                case .wait: return
                case .send(let reply): send(reply, context)
                case .done:
                    isDone = true
                    context.fireChannelActive()
                    if !handshake.leftOver.isEmpty {
                        context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: handshake.leftOver)))
                    }
                    return context.pipeline.syncOperations.removeHandler(self, promise: nil)
                }
                bytes = []
            }
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDone { context.fireErrorCaught(HTTPClientError.proxy("connection closed during the handshake")) }
        context.fireChannelInactive()
    }

    private func send(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }
}
