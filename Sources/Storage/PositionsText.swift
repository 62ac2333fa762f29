/// Why a positions file could not be read.
package struct PositionsError: Error, Sendable, Equatable, CustomStringConvertible {
    package let message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}

/// The text of a positions file: YAML as Alloy writes it, and as promtail and the static agent wrote it.
///
/// Alloy's form maps a key of two parts to a text (`internal/component/loki/source/internal/positions`):
///
///     positions:
///       ? path: /var/log/app.log
///         labels: '{job="app"}'
///       : "17623"
///
/// The legacy form maps the path alone. Both are written by `go-yaml`, whose whole output this reads: block and flow
/// mappings, plain and quoted scalars, folded lines.
enum PositionsText {
    /// Reads Alloy's form; unknown members are ignored.
    static func parse(_ bytes: [UInt8]) throws(PositionsError) -> [PositionKey: String] {
        var found: [PositionKey: String] = [:]
        for (key, value) in try members(of: bytes, isStrict: false) {
            guard case .mapping(let parts) = key else {
                throw PositionsError(
                    "cannot unmarshal \(key.kind) `\(key.text ?? "")` into a position's path and labels")
            }
            var position = PositionKey(path: "", labels: "")
            for (name, part) in parts {
                if name.text == "path" { position.path = part.text ?? "" }
                if name.text == "labels" { position.labels = part.text ?? "" }
            }
            guard case .scalar = value else { throw PositionsError("position of \(position.path) is no scalar") }
            found[position] = value.text
        }
        return found
    }

    /// Reads the legacy form, in which nothing but the positions may stand.
    static func parseLegacy(_ bytes: [UInt8]) throws(PositionsError) -> [String: String] {
        var found: [String: String] = [:]
        for (key, value) in try members(of: bytes, isStrict: true) {
            guard let path = key.text, let position = value.text else {
                throw PositionsError("legacy position that is not a path and a text")
            }
            found[path] = position
        }
        return found
    }

    private static func members(
        of bytes: [UInt8], isStrict: Bool
    ) throws(PositionsError) -> [(PositionsNode, PositionsNode)] {
        var parser = PositionsParser(bytes)
        var members: [(PositionsNode, PositionsNode)] = []
        switch try parser.document() {
        case .null: return []
        case .scalar: throw PositionsError("expected a mapping with the member `positions`")
        case .mapping(let pairs):
            for (key, value) in pairs {
                guard key.text == "positions" else {
                    if isStrict { throw PositionsError("field \(key.text ?? "") not found") }
                    continue
                }
                switch value {
                case .null: continue
                case .scalar: throw PositionsError("positions is no mapping")
                case .mapping(let pairs): members = pairs
                }
            }
        }
        return members
    }

    /// Writes Alloy's form, sorted by path and labels.
    static func text(_ positions: [PositionKey: String]) -> [UInt8] {
        guard !positions.isEmpty else { return Array("positions: {}\n".utf8) }
        var output = Array("positions:\n".utf8)
        let sorted = positions.sorted { ($0.key.path, $0.key.labels) < ($1.key.path, $1.key.labels) }
        for (key, value) in sorted {
            output.append(contentsOf: "  ? path: ".utf8)
            append(key.path, to: &output)
            output.append(contentsOf: "\n    labels: ".utf8)
            append(key.labels, to: &output)
            output.append(contentsOf: "\n  : ".utf8)
            if value.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2D }) {
                output.append(contentsOf: "\"\(value)\"".utf8)
            } else {
                append(value, to: &output)
            }
            output.append(0x0A)
        }
        return output
    }

    /// Appends a scalar: plain where nothing can be misread, else in single quotes, else in double quotes.
    private static func append(_ text: String, to output: inout [UInt8]) {
        let isPlain =
            text.utf8.first == 0x2F
            && text.utf8.allSatisfy { byte in
                (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A || byte >= 0x2D && byte <= 0x39 || byte == 0x5F
            }
        if isPlain {
            output.append(contentsOf: text.utf8)
        } else if text.unicodeScalars.allSatisfy({
            $0.value >= 0x20 && $0.value < 0x7F || $0.value >= 0xA0 && $0.value < 0x2028
        }) {
            output.append(0x27)
            for byte in text.utf8 {
                if byte == 0x27 { output.append(0x27) }
                output.append(byte)
            }
            output.append(0x27)
        } else {
            output.append(0x22)
            for scalar in text.unicodeScalars { appendEscaped(scalar, to: &output) }
            output.append(0x22)
        }
    }

    private static func appendEscaped(_ scalar: Unicode.Scalar, to output: inout [UInt8]) {
        switch scalar {
        case "\"": output.append(contentsOf: "\\\"".utf8)
        case "\\": output.append(contentsOf: "\\\\".utf8)
        case "\n": output.append(contentsOf: "\\n".utf8)
        case "\t": output.append(contentsOf: "\\t".utf8)
        case "\r": output.append(contentsOf: "\\r".utf8)
        default:
            if scalar.value >= 0x20, scalar.value < 0x7F {
                output.append(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                let digits = String(scalar.value, radix: 16)
                output.append(contentsOf: "\\U".utf8)
                output.append(contentsOf: repeatElement(0x30, count: 8 - digits.utf8.count))
                output.append(contentsOf: digits.utf8)
            }
        }
    }
}

/// A piece of a positions file.
indirect enum PositionsNode {
    case null
    case scalar(String)
    case mapping([(PositionsNode, PositionsNode)])

    /// The text of a scalar; a null is the empty text.
    var text: String? {
        switch self {
        case .null: ""
        case .scalar(let text): text
        case .mapping: nil
        }
    }

    var kind: String {
        switch self {
        case .null: "!!null"
        case .scalar: "!!str"
        case .mapping: "!!map"
        }
    }
}
