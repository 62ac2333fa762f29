/// The formats a target may answer in.
///
/// Prometheus: "Exposition formats" (text 0.0.4 and 1.0.0, delimited `io.prometheus.client.MetricFamily` messages);
/// OpenMetrics 1.0.0. The versions of one format differ in what a server may send, not in how it is read.
package enum ExpositionFormat: Sendable, Equatable {
    case prometheusText
    case openMetricsText
    case prometheusProtobuf

    /// The format of a response with this `Content-Type`, or the fallback where the header is missing, malformed or names
    /// none of them. Throws when there is no fallback either.
    package init(contentType: String?, fallback: ScrapeProtocol?) throws(ExpositionError) {
        let stated = contentType?.trimmedASCII ?? ""
        if !stated.isEmpty, let media = Self.mediaType(stated) {
            switch media {
            case "text/plain":
                self = .prometheusText
                return
            case "application/openmetrics-text":
                self = .openMetricsText
                return
            case "application/vnd.google.protobuf":
                self = .prometheusProtobuf
                return
            default: break
            }
        }
        guard let fallback else {
            let what = stated.isEmpty ? "no Content-Type" : "unsupported Content-Type \"\(stated)\""
            throw ExpositionError(.unknownFormat, "target answered with \(what) and there is no fallback protocol")
        }
        self = fallback.format
    }

    /// The media type in lower case, or nil when the header is malformed.
    private static func mediaType(_ header: String) -> String? {
        let parts = header.split(separator: ";", omittingEmptySubsequences: false)
        let media = String(parts[0]).trimmedASCII.lowercased()
        let halves = media.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(isTokenByte) }) else {
            return nil
        }
        for (index, part) in parts.dropFirst().enumerated() {
            let parameter = String(part).trimmedASCII
            // A header may end in a semicolon.
            if parameter.isEmpty, index == parts.count - 2 { continue }
            guard let equals = parameter.firstIndex(of: "="), equals > parameter.startIndex else { return nil }
        }
        return media
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

/// What a scrape may ask a target to answer in, by the names that configurations use.
package enum ScrapeProtocol: String, Sendable, CaseIterable {
    case prometheusProtobuf = "PrometheusProto"
    case prometheusText004 = "PrometheusText0.0.4"
    case prometheusText100 = "PrometheusText1.0.0"
    case openMetricsText001 = "OpenMetricsText0.0.1"
    case openMetricsText100 = "OpenMetricsText1.0.0"

    /// The order asked for unless told otherwise.
    package static let standard: [ScrapeProtocol] = [
        .openMetricsText100, .openMetricsText001, .prometheusText100, .prometheusText004,
    ]
    /// The order asked for when native histograms are wanted.
    package static let protobufFirst: [ScrapeProtocol] = [
        .prometheusProtobuf, .openMetricsText100, .openMetricsText001, .prometheusText100, .prometheusText004,
    ]

    package var format: ExpositionFormat {
        switch self {
        case .prometheusProtobuf: .prometheusProtobuf
        case .prometheusText004, .prometheusText100: .prometheusText
        case .openMetricsText001, .openMetricsText100: .openMetricsText
        }
    }

    private var mediaType: String {
        switch self {
        case .prometheusProtobuf:
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        case .prometheusText004: "text/plain;version=0.0.4"
        case .prometheusText100: "text/plain;version=1.0.0"
        case .openMetricsText001: "application/openmetrics-text;version=0.0.1"
        case .openMetricsText100: "application/openmetrics-text;version=1.0.0"
        }
    }

    private var negotiatesEscaping: Bool { self == .prometheusText100 || self == .openMetricsText100 }

    /// The `Accept` header that asks for `protocols` in this order, and for anything after them.
    package static func acceptHeader(_ protocols: [ScrapeProtocol], escaping: EscapingScheme) -> String {
        var weight = allCases.count + 1
        var parts: [String] = []
        for wanted in protocols {
            let scheme = wanted.negotiatesEscaping ? ";escaping=\(escaping.rawValue)" : ""
            parts.append("\(wanted.mediaType)\(scheme);q=0.\(weight)")
            weight -= 1
        }
        parts.append("*/*;q=0.\(weight)")
        return parts.joined(separator: ",")
    }
}

/// How a target is asked to write names that are not plain Prometheus names.
package enum EscapingScheme: String, Sendable, CaseIterable {
    case allowUTF8 = "allow-utf-8"
    case underscores
    case dots
    case values
}

/// Which metric and label names are accepted.
package enum NameValidation: String, Sendable, CaseIterable {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*` for metrics, the same without colons for labels.
    case legacy
    /// Any UTF-8 that is not empty.
    case utf8

    func accepts(metric name: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .legacy: NameBytes.isName(name, allowsColon: true)
        case .utf8: !name.isEmpty && ByteText.isUTF8(name)
        }
    }

    func accepts(label name: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .legacy: NameBytes.isName(name, allowsColon: false)
        case .utf8: !name.isEmpty && ByteText.isUTF8(name)
        }
    }
}

/// The bytes of plain names.
enum NameBytes {
    @inline(__always)
    static func isLetter(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_")
    }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    static func isName(_ name: UnsafeRawBufferPointer, allowsColon: Bool) -> Bool {
        guard let first = name.first, !isDigit(first) else { return false }
        return name.allSatisfy { isLetter($0) || isDigit($0) || (allowsColon && $0 == UInt8(ascii: ":")) }
    }
}

extension String {
    /// Without spaces and tabs at both ends.
    var trimmedASCII: String {
        var view = self[...]
        while let first = view.utf8.first, first == 32 || first == 9 { view = view.dropFirst() }
        while let last = view.utf8.last, last == 32 || last == 9 { view = view.dropLast() }
        return String(view)
    }
}
