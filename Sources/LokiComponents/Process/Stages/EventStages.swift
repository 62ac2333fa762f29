import AlloySyntax
import ComponentKit
import Telemetry

// MARK: stage.eventlogmessage

struct EventLogMessageArguments: Block, StageConfiguration {
    private let source: String
    private let dropsInvalid: Bool
    private let overwrites: Bool

    init(from block: inout BlockReader) {
        source = block.optional("source", default: "message", "Extracted value that holds the message.")
        dropsInvalid = block.optional(
            "drop_invalid_labels", default: false, "Whether pairs whose key is no label name are left out.")
        overwrites = block.optional(
            "overwrite_existing", default: false, "Whether values that are there already are replaced.")
        if !LabelName.isValid(source) { block.reject("source", "invalid label name: \(source)") }
    }

    func add(to program: inout ProgramBuilder) {
        program.keepsAllValues = true
        program.append(
            EventLogMessageStage(
                slot: program.slot(source), EventKeys(dropsInvalid: dropsInvalid, overwrites: overwrites)))
    }
}

/// How keys found in event messages become names of values.
private struct EventKeys {
    var dropsInvalid: Bool
    var overwrites: Bool

    /// The name to store under; `isValid` tells whether a key needs no change. Nil leaves the pair out.
    func name(_ key: [UInt8], isValid: (UnsafeRawBufferPointer) -> Bool, _ work: inout Work) -> [UInt8]? {
        var name = key
        if !key.withUnsafeBytes(isValid) {
            if dropsInvalid { return nil }
            name = Self.sanitized(key)
        }
        if !overwrites, name.withUnsafeBytes({ work.contains($0) }) { name += Array("_extracted".utf8) }
        return name
    }

    /// Every character that may not stand in a label name replaced by `_`.
    private static func sanitized(_ key: [UInt8]) -> [UInt8] {
        if key.isEmpty { return [UInt8(ascii: "_")] }
        var output: [UInt8] = []
        for (index, scalar) in String(decoding: key, as: UTF8.self).unicodeScalars.enumerated() {
            let isDigit = ("0"..."9").contains(scalar) && index > 0
            let isLetter = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
            output.append(isDigit || isLetter ? UInt8(truncatingIfNeeded: scalar.value) : UInt8(ascii: "_"))
        }
        return output
    }
}

private func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    let text = String(decoding: bytes, as: UTF8.self)
    // Bytes that are no UTF-8 are no spaces: trim what is around them.
    guard text.utf8.count == bytes.count else {
        return Array(bytes.drop { isSpace($0) }.reversed().drop { isSpace($0) }.reversed())
    }
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return Array(String(scalars).utf8)
}

private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }

/// The pieces of `text` between occurrences of `separator`.
private func split(_ text: ArraySlice<UInt8>, by separator: [UInt8]) -> [ArraySlice<UInt8>] {
    var pieces: [ArraySlice<UInt8>] = []
    var start = text.startIndex
    text.withUnsafeBytes { bytes in
        separator.withUnsafeBytes { separator in
            var from = 0
            while let found = bytes.index(of: separator, from: from) {
                pieces.append(text[start..<text.startIndex + found])
                from = found + separator.count
                start = text.startIndex + from
            }
        }
    }
    pieces.append(text[start...])
    return pieces
}

private let lineBreak: [UInt8] = [0x0D, 0x0A]
private let colon = UInt8(ascii: ":")

private final class EventLogMessageStage: Stage {
    private let slot: Int
    private let keys: EventKeys

    init(slot: Int, _ keys: EventKeys) {
        self.slot = slot
        self.keys = keys
    }

    func run(_ work: inout Work) -> Verdict {
        let value = work.value(slot)
        guard value.isThere else { return .next }
        guard let slice = work.text(of: value) else {
            work.tally.drop("stage.eventlogmessage", reason: nil)
            return .stop
        }
        let message = work.text.array(slice)
        for line in split(message[...], by: lineBreak) {
            guard let end = line.firstIndex(of: colon) else { continue }
            let name = keys.name(Array(line[..<end]), isValid: { LabelName.isValid($0) }, &work)
            guard let name else { continue }
            let content = trimmed(line[(end + 1)...])
            guard content.withUnsafeBytes({ $0.isValidUTF8 }) else { continue }
            let stored = ExtractedValue.text(work.text.append(content))
            name.withUnsafeBytes { work.set($0, to: stored) }
        }
        return .next
    }
}

// MARK: stage.windowsevent

struct WindowsEventArguments: Block, StageConfiguration {
    private let source: String
    private let dropsInvalid: Bool
    private let overwrites: Bool

    init(from block: inout BlockReader) {
        source = block.optional("source", default: "message", "Extracted value that holds the message.")
        dropsInvalid = block.optional(
            "drop_invalid_labels", default: false, "Whether pairs whose key is no label name are left out.")
        overwrites = block.optional(
            "overwrite_existing", default: false, "Whether values that are there already are replaced.")
        if !isLabelName(source) { block.reject("source", "invalid label name: \(source)") }
    }

    func add(to program: inout ProgramBuilder) {
        program.keepsAllValues = true
        program.append(
            WindowsEventStage(
                slot: program.slot(source), EventKeys(dropsInvalid: dropsInvalid, overwrites: overwrites)))
    }
}

private final class WindowsEventStage: Stage {
    private let slot: Int
    private let keys: EventKeys

    init(slot: Int, _ keys: EventKeys) {
        self.slot = slot
        self.keys = keys
    }

    func run(_ work: inout Work) -> Verdict {
        let value = work.value(slot)
        guard value.isThere else { return .next }
        guard let slice = work.text(of: value) else {
            work.tally.drop("stage.windowsevent", reason: nil)
            return .stop
        }
        let message = work.text.array(slice)
        // The first section describes the event; each of the others may begin with its title.
        for (index, section) in split(message[...], by: lineBreak + lineBreak).enumerated() {
            if index == 0 {
                store(Array("Description".utf8), Array(section), &work)
            } else {
                readSection(section, &work)
            }
        }
        return .next
    }

    private func readSection(_ section: ArraySlice<UInt8>, _ work: inout Work) {
        let lines = split(section, by: lineBreak)
        var prefix: [UInt8] = []
        var index = 0
        while index < lines.count {
            let line = lines[index]
            index += 1
            guard let end = line.firstIndex(of: colon) else { continue }
            var key = Array(line[..<end])
            var content = Array(line[(end + 1)...])
            if content.isEmpty {
                if index == 1 { prefix = key }
                continue
            }
            // Lines without a colon go on with the value before them.
            while index < lines.count, !lines[index].isEmpty, !lines[index].contains(colon) {
                content.append(UInt8(ascii: ","))
                content.append(contentsOf: lines[index])
                index += 1
            }
            if !prefix.isEmpty { key = prefix + [UInt8(ascii: "_")] + key }
            store(key, content, &work)
        }
    }

    private func store(_ key: [UInt8], _ content: [UInt8], _ work: inout Work) {
        let bare = key.filter { $0 != 0x09 && $0 != 0x0D && $0 != 0x0A && $0 != 0x20 }
        let name = keys.name(bare, isValid: { !$0.isEmpty && $0.isValidUTF8 }, &work)
        guard let name else { return }
        let value = trimmed(content.filter { $0 != 0x09 && $0 != 0x0D && $0 != 0x0A }[...])
        guard value.withUnsafeBytes({ $0.isValidUTF8 }) else { return }
        let stored = ExtractedValue.text(work.text.append(value))
        name.withUnsafeBytes { work.set($0, to: stored) }
    }
}
