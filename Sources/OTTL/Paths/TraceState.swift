import Wire

/// The `tracestate` of a span: `key=value` pairs between commas, as W3C Trace Context 1 section 3.3 has them.
enum TraceState {
    static func value(of key: [UInt8], in state: UnsafeRawBufferPointer) -> [UInt8]? {
        for member in state.split(separator: UInt8(ascii: ",")) {
            let pair = trimmed(member)
            guard let mark = pair.firstIndex(of: UInt8(ascii: "=")), pair[..<mark].elementsEqual(key) else { continue }
            return Array(pair[(mark + 1)...])
        }
        return nil
    }

    /// The state with the pair set and in front, as the specification asks of whoever changes it.
    static func setting(_ key: [UInt8], to value: [UInt8], in state: UnsafeRawBufferPointer) -> [UInt8] {
        var output = key + [UInt8(ascii: "=")] + value
        for member in state.split(separator: UInt8(ascii: ",")) {
            let pair = trimmed(member)
            guard let mark = pair.firstIndex(of: UInt8(ascii: "=")), !pair[..<mark].elementsEqual(key) else { continue }
            output.append(UInt8(ascii: ","))
            output.append(contentsOf: pair)
        }
        return output
    }

    private static func trimmed(_ member: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
        var member = member
        while let first = member.first, first == 0x20 || first == 0x09 { member = member.dropFirst() }
        while let last = member.last, last == 0x20 || last == 0x09 { member = member.dropLast() }
        return member
    }
}
