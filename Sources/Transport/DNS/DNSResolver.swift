import Essentials
import NIOCore

/// Why a lookup gave nothing.
package enum DNSError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A name that cannot be asked for.
    case invalidName(String)
    /// No server gave a usable answer; the reason is the last one's.
    case unanswered(name: String, reason: String)
    /// The task was cancelled.
    case cancelled

    package var description: String {
        switch self {
        case .invalidName(let reason): "invalid name: \(reason)"
        case .unanswered(let name, let reason): "could not resolve \"\(name)\": \(reason)"
        case .cancelled: "cancelled"
        }
    }
}

/// A stub resolver (RFC 1034, 5.3.1): asks recursive servers over UDP, and over TCP when the answer is truncated.
package struct DNSResolver: Sendable {
    private let configuration: ResolverConfiguration
    private let loops: EventLoops

    /// A resolver with a fixed configuration.
    package init(_ configuration: ResolverConfiguration, on loops: EventLoops) {
        self.configuration = configuration
        self.loops = loops
    }

    /// A resolver with what `/etc/resolv.conf` says now.
    package static func system(on loops: EventLoops) async throws -> DNSResolver {
        DNSResolver(try await loops.runBlocking { try ResolverConfiguration.system() }, on: loops)
    }

    /// The records of a type under a name, found with the search list; empty when no such name or record exists.
    ///
    /// CNAME records on the way are left out. Throws when a server failed and no name of the search list was found.
    package func records(_ name: String, _ type: DNSRecordType) async throws(DNSError) -> [DNSRecord] {
        var failure: DNSError?
        for candidate in configuration.candidates(for: name) {
            do throws(DNSError) {
                let answers = try await ask(candidate, type).filter { $0.type == type }
                if !answers.isEmpty { return answers }
            } catch .cancelled {
                throw .cancelled
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return []
    }

    /// Goes through the servers until one answers; no such name is an empty answer.
    private func ask(_ name: String, _ type: DNSRecordType) async throws(DNSError) -> [DNSRecord] {
        var reason = "no servers configured"
        for _ in 0..<max(1, configuration.attempts) {
            for server in configuration.servers {
                if Task.isCancelled { throw .cancelled }
                do {
                    let message = try await exchange(name, type, server)
                    switch message.responseCode {
                    case 0: return message.answers
                    case 3: return []
                    default: reason = "server \(server) answered with code \(message.responseCode)"
                    }
                } catch let error as DNSFormatError where error == Self.unaskable {
                    throw .invalidName(name)
                } catch let error as DNSFormatError {
                    reason = "server \(server): \(error.reason)"
                } catch TransportError.cancelled {
                    throw .cancelled
                } catch is CancellationError {
                    throw .cancelled
                } catch {
                    reason = "server \(server): \(error)"
                }
            }
        }
        throw .unanswered(name: name, reason: reason)
    }

    private static let unaskable = DNSFormatError(reason: "unaskable")

    private func exchange(_ name: String, _ type: DNSRecordType, _ server: SocketAddress) async throws -> DNSMessage {
        let id = UInt16.random(in: .min ... .max)
        let query: [UInt8]
        do {
            query = try DNSMessage.query(name, type, id: id)
        } catch {
            throw Self.unaskable
        }
        let deadline = NIODeadline.after(configuration.timeout)
        let answer = try await overUDP(query, id, name, type, server, deadline)
        return answer.isTruncated ? try await overTCP(query, id, name, type, server) : answer
    }

    private func overUDP(
        _ query: [UInt8], _ id: UInt16, _ name: String, _ type: DNSRecordType, _ server: SocketAddress,
        _ deadline: NIODeadline
    ) async throws -> DNSMessage {
        let socket = try await UDPSocket.connect(to: server, receiveBuffer: .kibibytes(64), on: loops)
        defer { socket.close() }
        let timer = socket.expire(at: deadline)
        defer { timer.cancel() }
        try await socket.send(query)
        while true {
            let datagram = try await socket.next()
            // Something else may have been sent to this port: only an answer to this question counts.
            guard let message = try? DNSMessage(decoding: datagram.bytes) else { continue }
            if Self.answers(message, id, name, type) { return message }
        }
    }

    private func overTCP(
        _ query: [UInt8], _ id: UInt16, _ name: String, _ type: DNSRecordType, _ server: SocketAddress
    ) async throws -> DNSMessage {
        let connection = try await TCPConnection.connect(
            to: server, timeout: configuration.timeout, idleTimeout: configuration.timeout, on: loops)
        defer { connection.close() }
        try await connection.write([UInt8(query.count >> 8), UInt8(truncatingIfNeeded: query.count)] + query)
        var bytes: [UInt8] = []
        while true {
            if bytes.count >= 2 {
                let length = Int(bytes[0]) << 8 | Int(bytes[1])
                if bytes.count >= length + 2 {
                    let message = try DNSMessage(decoding: Array(bytes[2..<(length + 2)]))
                    guard Self.answers(message, id, name, type) else {
                        throw DNSFormatError(reason: "answer to another question")
                    }
                    return message
                }
            }
            guard try await connection.read(into: &bytes) else {
                throw DNSFormatError(reason: "connection closed inside an answer")
            }
        }
    }

    private static func answers(_ message: DNSMessage, _ id: UInt16, _ name: String, _ type: DNSRecordType) -> Bool {
        message.isResponse && message.id == id && message.questionType == type
            && message.questionName.lowercased() == name.lowercased()
    }
}
