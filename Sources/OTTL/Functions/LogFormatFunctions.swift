import TextFormats
import Wire

extension Functions {
    /// Formats of logs, for the log context.
    static let logFormatConverters: [Converter] = [
        format("ParseCEF") { try LogFormats.cef($0) },
        format("ParseLEEF") { try LogFormats.leef($0) },
        format("ParseELF") { try LogFormats.elf($0) },
        Converter("ParseCLF", [.text("target"), Parameter("format", .string, optional: true)], .map, in: [.log]) {
            arguments in
            let target = arguments.value(0)
            let format = arguments.string(1) ?? "clf"
            guard format == "clf" || format == "combined" else {
                throw arguments.error(1, "must be \"clf\" or \"combined\"")
            }
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                return .ownMap(try LogFormats.clf(text, isCombined: format == "combined"))
            }
        },
    ]

    private static func format(
        _ name: String, _ body: @escaping @Sendable ([UInt8]) throws -> OTLPAnyValue.Map
    ) -> Converter {
        Converter(name, [.text("target")], .map, in: [.log]) { arguments in
            let target = arguments.value(0)
            return { frame in .ownMap(try body(target.evaluate(frame).requireText(arguments.what(0)))) }
        }
    }
}

/// Readers of CEF, LEEF, the W3C extended log format and access logs.
enum LogFormats {
    private static let pipe = UInt8(ascii: "|")
    private static let backslash = UInt8(ascii: "\\")

    // MARK: CEF and LEEF

    static func cef(_ text: [UInt8]) throws -> OTLPAnyValue.Map {
        guard let start = Text.firstIndex(of: Array("CEF:".utf8), in: text) else {
            throw OTTLError("ParseCEF: no CEF: in the value")
        }
        var fields: [[UInt8]] = [[]]
        var index = start + 4
        while index < text.count, fields.count < 8 {
            let byte = text[index]
            index += 1
            if byte == backslash, index < text.count, text[index] == pipe || text[index] == backslash {
                fields[fields.count - 1].append(text[index])
                index += 1
            } else if byte == pipe {
                fields.append([])
                if fields.count == 8 { break }
            } else {
                fields[fields.count - 1].append(byte)
            }
        }
        guard fields.count >= 7, !fields[0].isEmpty, fields[0].allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
            throw OTTLError("ParseCEF: the header has fewer than seven fields")
        }
        var map = OTLPAnyValue.Map()
        let names = [
            "version", "device_vendor", "device_product", "device_version", "device_event_class_id", "name", "severity",
        ]
        for (name, field) in zip(names, fields) { map["cef." + name] = .string(field) }
        map["cef.extensions"] = .map(extensions(Array(text[min(index, text.count)...])))
        return map
    }

    /// `key=value with spaces next=...`: a value ends where the next key begins.
    private static func extensions(_ text: [UInt8]) -> OTLPAnyValue.Map {
        var starts: [(key: Range<Int>, value: Int)] = []
        for (place, byte) in text.enumerated() where byte == UInt8(ascii: "=") {
            if place > 0, text[place - 1] == backslash { continue }
            var begin = place
            while begin > 0, isKey(text[begin - 1]) { begin -= 1 }
            if begin < place, begin == 0 || text[begin - 1] == 0x20 { starts.append((begin..<place, place + 1)) }
        }
        var map = MapBuilder()
        for (number, start) in starts.enumerated() {
            let end = number + 1 < starts.count ? starts[number + 1].key.lowerBound : text.count
            let value = Text.trimmed(text[start.value..<max(start.value, end)])
            map.set(Array(text[start.key]), to: .string(unescaped(value)))
        }
        return map.map
    }

    private static func isKey(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || (byte >= 0x30 && byte <= 0x39) || "_.-[]".utf8.contains(byte)
    }

    private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == backslash, let next = rest.first else {
                output.append(byte)
                continue
            }
            switch next {
            case backslash, UInt8(ascii: "="): output.append(next)
            case UInt8(ascii: "n"): output.append(10)
            case UInt8(ascii: "r"): output.append(13)
            default:
                output.append(byte)
                continue
            }
            rest = rest.dropFirst()
        }
        return output
    }

    static func leef(_ text: [UInt8]) throws -> OTLPAnyValue.Map {
        guard let start = Text.firstIndex(of: Array("LEEF:".utf8), in: text) else {
            throw OTTLError("ParseLEEF: no LEEF: in the value")
        }
        let parts = text[(start + 5)...].split(separator: pipe, maxSplits: 5, omittingEmptySubsequences: false)
        let version = parts.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        guard version == "1.0" || version == "2.0", parts.count == 6 || (parts.count == 5 && version == "2.0") else {
            throw OTTLError("ParseLEEF: the header is not that of LEEF 1.0 or 2.0")
        }
        var map = OTLPAnyValue.Map()
        map["leef.version"] = .string(version)
        for (name, part) in zip(["vendor", "product.name", "product.version", "event.id"], parts[1...4]) {
            map["leef." + name] = .string(Array(part))
        }
        var body = parts.count == 6 ? parts[5] : []
        var delimiter = UInt8(ascii: "\t")
        if version == "2.0", let mark = body.firstIndex(of: pipe),
            !body[..<mark].contains(UInt8(ascii: "=")) || mark <= body.startIndex + 1
        {
            delimiter = try self.delimiter(body[..<mark])
            body = body[(mark + 1)...]
        }
        var attributes = MapBuilder()
        for pair in body.split(separator: delimiter) {
            guard let mark = pair.firstIndex(of: UInt8(ascii: "=")), mark > pair.startIndex else { continue }
            attributes.set(Array(pair[..<mark]), to: .string(Array(pair[(mark + 1)...])))
        }
        map["leef.attributes"] = .map(attributes.map)
        return map
    }

    private static func delimiter(_ text: ArraySlice<UInt8>) throws -> UInt8 {
        if text.isEmpty { return UInt8(ascii: "\t") }
        if text.count == 1, let byte = text.first { return byte }
        let string = String(decoding: text, as: UTF8.self).lowercased()
        guard string.hasPrefix("0x"), let value = UInt8(string.dropFirst(2), radix: 16) else {
            throw OTTLError("ParseLEEF: the delimiter is neither one character nor 0x with two digits")
        }
        return value
    }

    // MARK: Extended log format

    static func elf(_ text: [UInt8]) throws -> OTLPAnyValue.Map {
        let directives = [
            "version": "elf.version", "software": "elf.software", "date": "elf.date", "start-date": "elf.start_date",
            "end-date": "elf.end_date", "remark": "elf.remark",
        ]
        var map = OTLPAnyValue.Map()
        var fields: [[UInt8]] = []
        var entries: [OTLPAnyValue] = []
        for raw in text.split(separator: 0x0A) {
            let line = Text.trimmed(raw)
            guard let first = line.first else { continue }
            guard first == UInt8(ascii: "#") else {
                if fields.isEmpty { continue }
                let values = words(line)
                var entry = MapBuilder()
                for (place, field) in fields.enumerated() {
                    entry.set(field, to: .string(place < values.count ? values[place] : [UInt8(ascii: "-")]))
                }
                entries.append(.map(entry.map))
                continue
            }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let name = String(decoding: line[(line.startIndex + 1)..<colon], as: UTF8.self).lowercased()
            let value = Array(Text.trimmed(line[(colon + 1)...]))
            if name == "fields" { fields = words(value[...]) }
            if let key = directives[name] { map[key] = .string(value) }
        }
        guard map["elf.version"] != nil else { throw OTTLError("ParseELF: there is no #Version directive") }
        map["elf.fields"] = .array(fields.map { .string($0) })
        map["elf.entries"] = .array(entries)
        return map
    }

    /// Words between spaces; double quotes hold words together, and two of them stand for one.
    private static func words(_ line: ArraySlice<UInt8>) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var index = line.startIndex
        while index < line.endIndex {
            if line[index] == 0x20 || line[index] == 0x09 {
                index += 1
                continue
            }
            var word: [UInt8] = []
            if line[index] == UInt8(ascii: "\"") {
                index += 1
                while index < line.endIndex {
                    if line[index] == UInt8(ascii: "\"") {
                        guard index + 1 < line.endIndex, line[index + 1] == UInt8(ascii: "\"") else { break }
                        index += 1
                    }
                    word.append(line[index])
                    index += 1
                }
                index += 1
            } else {
                while index < line.endIndex, line[index] != 0x20, line[index] != 0x09 {
                    word.append(line[index])
                    index += 1
                }
            }
            words.append(word)
        }
        return words
    }

    // MARK: Access logs

    static func clf(_ text: [UInt8], isCombined: Bool) throws -> OTLPAnyValue.Map {
        var reader = AccessLogReader(bytes: text)
        var map = OTLPAnyValue.Map()
        for name in ["remote_host", "rfc931", "auth_user"] { map["clf." + name] = .string(try reader.word()) }
        map["clf.timestamp"] = .string(try reader.enclosed(UInt8(ascii: "["), UInt8(ascii: "]")))
        let request = try reader.quoted()
        map["clf.request"] = .string(request)
        let parts = request.split(separator: 0x20, omittingEmptySubsequences: false)
        if parts.count == 3, !parts.contains(where: { $0.isEmpty }) {
            for (name, part) in zip(["method", "request_uri", "protocol"], parts) {
                map["clf." + name] = .string(Array(part))
            }
        }
        guard let status = Int64(String(decoding: try reader.word(), as: UTF8.self)) else {
            throw OTTLError("ParseCLF: the status is no number")
        }
        map["clf.status"] = .int(status)
        let size = try reader.word()
        if size != [UInt8(ascii: "-")] {
            guard let bytes = Int64(String(decoding: size, as: UTF8.self)) else {
                throw OTTLError("ParseCLF: the size is no number")
            }
            map["clf.bytes"] = .int(bytes)
        }
        if isCombined {
            map["clf.referer"] = .string(try reader.quoted())
            map["clf.user_agent"] = .string(try reader.quoted())
        }
        guard reader.isAtEnd else { throw OTTLError("ParseCLF: there is text behind the last field") }
        return map
    }
}

private struct AccessLogReader {
    let bytes: [UInt8]
    private var index = 0

    init(bytes: [UInt8]) { self.bytes = Array(Text.trimmed(bytes[...])) }

    var isAtEnd: Bool { index >= bytes.count }

    private mutating func skipSpaces() { while index < bytes.count, bytes[index] == 0x20 { index += 1 } }

    mutating func word() throws -> [UInt8] {
        skipSpaces()
        let start = index
        while index < bytes.count, bytes[index] != 0x20 { index += 1 }
        guard index > start else { throw OTTLError("ParseCLF: the line ends too early") }
        return Array(bytes[start..<index])
    }

    mutating func enclosed(_ open: UInt8, _ close: UInt8) throws -> [UInt8] {
        skipSpaces()
        guard index < bytes.count, bytes[index] == open, let end = bytes[index...].firstIndex(of: close) else {
            throw OTTLError("ParseCLF: no date in brackets")
        }
        defer { index = end + 1 }
        return Array(bytes[(index + 1)..<end])
    }

    /// Text in double quotes with the escapes of Apache and nginx resolved.
    mutating func quoted() throws -> [UInt8] {
        skipSpaces()
        guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
            throw OTTLError("ParseCLF: a field in quotes is missing")
        }
        index += 1
        let controls: [UInt8: UInt8] = [
            UInt8(ascii: "n"): 10, UInt8(ascii: "t"): 9, UInt8(ascii: "r"): 13, UInt8(ascii: "b"): 8,
            UInt8(ascii: "v"): 11, UInt8(ascii: "f"): 12, UInt8(ascii: "a"): 7,
        ]
        var output: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "\"") { return output }
            guard byte == UInt8(ascii: "\\"), index < bytes.count else {
                output.append(byte)
                continue
            }
            let escaped = bytes[index]
            index += 1
            if escaped == UInt8(ascii: "x"), index + 2 <= bytes.count,
                let value = Hex.decode(bytes[index..<(index + 2)])
            {
                output.append(contentsOf: value)
                index += 2
            } else if let control = controls[escaped] {
                output.append(control)
            } else {
                output.append(escaped)
            }
        }
        throw OTTLError("ParseCLF: a quote is not closed")
    }
}
