package import Essentials

/// A request to send; the body is kept in memory so that it can be sent again after a redirect or a retry.
package struct HTTPClientRequest: Sendable {
    /// The method.
    package var method: HTTPMethod
    /// The URL; user and password in it become basic authorisation when nothing else authorises the request.
    package var url: HTTPURL
    /// The fields; host, length and user agent are added.
    package var fields: HTTPFields
    /// The body, nil when there is none.
    package var body: [UInt8]?
    /// For the whole request; nil is the client's.
    package var timeout: Duration?
    /// Body bytes of the response after decompression; nil is the client's.
    package var maximumBodyBytes: ByteCount?
    /// Ask for compression and undo it: gzip, zstd and deflate. A request with its own `accept-encoding` is sent as
    /// it is and only decompressed.
    package var decompresses: Bool
    /// Connect to this unix socket instead of the URL's host.
    package var unixSocketPath: String?

    /// A request without a body.
    package init(_ method: HTTPMethod = .get, _ url: HTTPURL, fields: HTTPFields = [:], decompresses: Bool = true) {
        self.method = method
        self.url = url
        self.fields = fields
        self.decompresses = decompresses
    }

    /// A POST of bytes of a media type.
    package static func post(_ url: HTTPURL, _ body: [UInt8], type: String, fields: HTTPFields = [:]) -> Self {
        var request = HTTPClientRequest(.post, url, fields: fields)
        request.fields["content-type"] = type
        request.body = body
        return request
    }
}
