import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL

/// Why a request got no usable response. Messages never contain credentials, proxies' user names or bodies.
package enum HTTPClientError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The step that failed.
    package enum Phase: String, Sendable, CaseIterable {
        case request, authorisation, resolve, connect, proxy, tls, write, head, body, redirect
    }

    /// A URL or field that cannot be sent.
    case invalidRequest(String)
    /// Credentials could not be read or fetched.
    case authorisation(String)
    /// The host name has no address.
    case resolution(host: String, reason: String)
    /// No connection to the address: why, in the system's words.
    case connect(address: String, reason: String)
    /// The proxy refused or broke the handshake.
    case proxy(String)
    /// The TLS handshake or a certificate failed.
    case tls(String)
    /// The time allowed passed in this phase.
    case deadlineExceeded(Phase)
    /// The task was cancelled.
    case cancelled
    /// The peer closed the connection in this phase.
    case connectionClosed(Phase)
    /// The peer broke the protocol.
    case malformedResponse(String)
    /// More header bytes than allowed.
    case headersTooLarge(limit: Int)
    /// More body bytes, as received or decompressed, than allowed.
    case bodyTooLarge(limit: Int)
    /// The body's content encoding is unknown or broken.
    case decoding(String)
    /// More redirects than allowed.
    case tooManyRedirects(Int)
    /// The client was shut down.
    case shutDown

    /// The step that failed.
    package var phase: Phase {
        switch self {
        case .invalidRequest, .shutDown, .cancelled: .request
        case .authorisation: .authorisation
        case .resolution: .resolve
        case .connect: .connect
        case .proxy: .proxy
        case .tls: .tls
        case .deadlineExceeded(let phase), .connectionClosed(let phase): phase
        case .malformedResponse, .headersTooLarge: .head
        case .bodyTooLarge, .decoding: .body
        case .tooManyRedirects: .redirect
        }
    }

    /// Whether the request was not seen by the server as far as can be known.
    package var isBeforeRequest: Bool {
        switch phase {
        case .request, .authorisation, .resolve, .connect, .proxy, .tls: self != .cancelled
        default: false
        }
    }

    package var description: String {
        switch self {
        case .invalidRequest(let reason): "invalid request: \(reason)"
        case .authorisation(let reason): "unable to authorise request: \(reason)"
        case .resolution(let host, let reason): "lookup \(host): \(reason)"
        case .connect(let address, let reason): "dial tcp \(address): connect: \(reason)"
        case .proxy(let reason): "proxyconnect tcp: \(reason)"
        case .tls(let reason): "tls: \(reason)"
        case .deadlineExceeded: "context deadline exceeded"
        case .cancelled: "context canceled"
        case .connectionClosed(.body): "unexpected EOF"
        case .connectionClosed: "EOF"
        case .malformedResponse(let reason): "malformed HTTP response: \(reason)"
        case .headersTooLarge(let limit): "server response headers exceeded \(limit) bytes; aborted"
        case .bodyTooLarge(let limit): "body size limit exceeded: limit is \(limit) bytes"
        case .decoding(let reason): "unable to decode response body: \(reason)"
        case .tooManyRedirects(let count): "stopped after \(count) redirects"
        case .shutDown: "http client is shut down"
        }
    }

    /// Translates what an event loop reports in `phase`.
    init(_ error: any Error, in phase: Phase, headerLimit: Int = 0) {
        switch error {
        case let error as HTTPClientError: self = error
        case let failure as ExchangeFailure: self = failure.error
        case is CancellationError: self = .cancelled
        case let error as HTTPParserError:
            if case .headerOverflow = error {
                self = .headersTooLarge(limit: headerLimit)
            } else if case .invalidEOFState = error {
                self = .connectionClosed(phase)
            } else {
                self = .malformedResponse("\(error)")
            }
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: self = .tls(Self.tlsReason(error))
        case let error as IOError where phase == .connect:
            self = .connect(address: "", reason: errorText(error.errnoCode))
        case is IOError, is ChannelError, is NIOHTTP2Errors.StreamClosed: self = .connectionClosed(phase)
        default: self = .malformedResponse("\(error)")
        }
    }

    static func tlsReason(_ error: any Error) -> String {
        let text = "\(error)"
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return "failed to verify certificate: unknown or expired issuer"
        }
        if text.contains("WRONG_VERSION_NUMBER") { return "first record does not look like a TLS handshake" }
        if let extra = error as? NIOSSLExtraError, extra == .failedToValidateHostname {
            return "failed to verify certificate: not valid for the server name"
        }
        if case .some(.handshakeFailed(let reason)) = error as? NIOSSLError { return "handshake failure: \(reason)" }
        if case .some(.uncleanShutdown) = error as? NIOSSLError { return "connection closed without notice" }
        return text
    }
}

/// A failed exchange, and whether the same request may be sent again on another connection.
struct ExchangeFailure: Error {
    let error: HTTPClientError
    /// Nothing of the request was written.
    var isUnsent = false
    /// Not a byte of a response came on a connection that had been used before.
    var isStale = false
}
