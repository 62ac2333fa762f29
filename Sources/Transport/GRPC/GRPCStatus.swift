/// How a gRPC call ended: a code, a message and what the server adds for machines.
///
/// gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md), codes of grpc/doc/statuscodes.md, details of google/rpc/status.proto and
/// google/rpc/error_details.proto.
package struct GRPCStatus: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Int, Sendable, CaseIterable {
        case ok = 0
        case cancelled, unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists, permissionDenied
        case resourceExhausted, failedPrecondition, aborted, outOfRange, unimplemented, `internal`, unavailable
        case dataLoss, unauthenticated
    }

    package var code: Code
    package var message: String
    /// When to try again (`google.rpc.RetryInfo`).
    package var retryDelay: Duration?

    package init(_ code: Code, _ message: String, retryDelay: Duration? = nil) {
        self.code = code
        self.message = message
        self.retryDelay = retryDelay
    }

    package var description: String { "rpc error: code = \(Self.name(code)) desc = \(message)" }

    /// The code as Go prints it.
    private static func name(_ code: Code) -> String {
        if code == .ok { return "OK" }
        if code == .cancelled { return "Canceled" }
        let name = "\(code)"
        return name.prefix(1).uppercased() + name.dropFirst()
    }

    // MARK: Trailers

    /// The fields that end a call.
    package var trailers: HTTPFields {
        var fields: HTTPFields = ["grpc-status": "\(code.rawValue)"]
        if !message.isEmpty { fields["grpc-message"] = Self.percentEncoded(message) }
        if let details { fields["grpc-status-details-bin"] = Base64.encode(details) }
        return fields
    }

    /// Reads the status from trailers, or from the head of a response without a body; nil when there is none.
    package init?(_ fields: HTTPFields) {
        guard let number = fields["grpc-status"].flatMap({ Int($0) }) else { return nil }
        code = Code(rawValue: number) ?? .unknown
        message = fields["grpc-message"].map { Percent.decode($0) } ?? ""
        retryDelay = fields["grpc-status-details-bin"].flatMap { Base64.decode($0) }.flatMap(Self.retryDelay(in:))
    }

    private static func percentEncoded(_ text: String) -> String {
        var encoded: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            if byte >= 0x20, byte <= 0x7E, byte != UInt8(ascii: "%") {
                encoded.append(byte)
            } else {
                encoded.append(contentsOf: [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]])
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    // MARK: Details, a google.rpc.Status

    private static let retryInfo = "type.googleapis.com/google.rpc.RetryInfo"

    private var details: [UInt8]? {
        guard let retryDelay else { return nil }
        let parts = retryDelay.components
        var duration: [UInt8] = []
        Self.append(1, UInt64(bitPattern: parts.seconds), to: &duration)
        Self.append(2, UInt64(bitPattern: parts.attoseconds / 1_000_000_000), to: &duration)
        var info: [UInt8] = []
        Self.append(1, duration, to: &info)
        var any: [UInt8] = []
        Self.append(1, Array(Self.retryInfo.utf8), to: &any)
        Self.append(2, info, to: &any)
        var status: [UInt8] = []
        Self.append(1, UInt64(code.rawValue), to: &status)
        Self.append(2, Array(message.utf8), to: &status)
        Self.append(3, any, to: &status)
        return status
    }

    private static func varint(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private static func append(_ field: UInt64, _ value: UInt64, to bytes: inout [UInt8]) {
        if value == 0 { return }
        varint(field << 3, to: &bytes)
        varint(value, to: &bytes)
    }

    private static func append(_ field: UInt64, _ content: [UInt8], to bytes: inout [UInt8]) {
        varint(field << 3 | 2, to: &bytes)
        varint(UInt64(content.count), to: &bytes)
        bytes.append(contentsOf: content)
    }

    private static func retryDelay(in status: [UInt8]) -> Duration? {
        var found: Duration?
        walk(status[...]) { field, _, content in
            guard field == 3 else { return }
            var isRetryInfo = false
            var value: ArraySlice<UInt8> = []
            walk(content) { field, _, content in
                if field == 1 { isRetryInfo = content.elementsEqual(retryInfo.utf8) }
                if field == 2 { value = content }
            }
            guard isRetryInfo else { return }
            walk(value) { field, _, duration in
                guard field == 1 else { return }
                var seconds: Int64 = 0
                var nanoseconds: Int64 = 0
                walk(duration) { field, number, _ in
                    if field == 1 { seconds = Int64(bitPattern: number) }
                    if field == 2 { nanoseconds = Int64(bitPattern: number) }
                }
                // Hours are as good as for ever; larger numbers would overflow.
                guard seconds >= 0, seconds < 1 << 32, nanoseconds >= 0, nanoseconds < 1_000_000_000 else { return }
                found = .seconds(seconds) + .nanoseconds(nanoseconds)
            }
        }
        return found
    }

    /// Walks the fields of a message; what is malformed ends the walk.
    private static func walk(
        _ bytes: ArraySlice<UInt8>, _ body: (_ field: UInt64, _ number: UInt64, _ content: ArraySlice<UInt8>) -> Void
    ) {
        var rest = bytes
        func varint() -> UInt64? {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while shift < 64, let byte = rest.popFirst() {
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
            return nil
        }
        while !rest.isEmpty {
            guard let tag = varint() else { return }
            switch tag & 7 {
            case 0:
                guard let number = varint() else { return }
                body(tag >> 3, number, [])
            case 2:
                guard let length = varint(), length <= UInt64(rest.count) else { return }
                body(tag >> 3, 0, rest.prefix(Int(length)))
                rest = rest.dropFirst(Int(length))
            default: return
            }
        }
    }
}
