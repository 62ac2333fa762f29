/// What a server, client or listener tells whoever counts; every call is made on an event loop and must not wait.
package protocol TransportObserver: Sendable {
    /// A socket was opened (accepted or connected).
    func connectionOpened()
    /// A socket was closed.
    func connectionClosed()
    /// A connection was refused or ended by a limit or an error, with a constant reason.
    func connectionFailed(_ reason: TransportFailure)
    /// A request was answered: by whom and how long it took, with the bytes of the body received and sent.
    func requestFinished(_ outcome: RequestOutcome)
}

extension TransportObserver {
    package func connectionOpened() {}
    package func connectionClosed() {}
    package func connectionFailed(_ reason: TransportFailure) {}
    package func requestFinished(_ outcome: RequestOutcome) {}
}

/// Why a connection ended early; a closed set so that it can be a label value.
package enum TransportFailure: String, Sendable, CaseIterable {
    case handshake
    case headerTimeout = "header_timeout"
    case readTimeout = "read_timeout"
    case writeTimeout = "write_timeout"
    case malformed
    case headersTooLarge = "headers_too_large"
    case certificateReload = "certificate_reload"
    case connect
}

/// One finished exchange.
package struct RequestOutcome: Sendable {
    /// The method of the request.
    package var method: HTTPMethod
    /// On a server the pattern of the route that answered (empty when none), on a client the authority.
    package var route: String
    /// The status sent or received.
    package var status: HTTPStatus
    /// From the head of the request to the end of the response.
    package var duration: Duration
}

/// Counts nothing.
package struct SilentObserver: TransportObserver {
    /// The observer for whoever does not count.
    package init() {}
}
