/// Cuts a stream of MessagePack into values, however the bytes arrive. What was looked at is not looked at again.
package struct MessagePackFramer {
    private var buffer: [UInt8] = []
    /// Where the value being looked at begins, and how far it was looked at.
    private var start = 0
    private var scanned = 0
    /// Elements still to come at each level of nesting; empty between values.
    private var open: [Int] = []

    package init() {}

    /// Bytes held.
    package var heldBytes: Int { buffer.count - start }
    /// Whether the stream stands between two values.
    package var isBetweenValues: Bool { heldBytes == 0 }

    package mutating func append(_ bytes: [UInt8]) {
        if start > 0 {
            buffer.removeFirst(start)
            scanned -= start
            start = 0
        }
        buffer += bytes
    }

    /// The next value that is whole; nil when more bytes are needed.
    package mutating func next() throws(MessagePackError) -> MessagePackValue? {
        guard try isWhole() else { return nil }
        let range = start..<scanned
        start = scanned
        return try buffer.withRawBytes { bytes throws(MessagePackError) in
            var reader = MessagePackReader(UnsafeRawBufferPointer(rebasing: bytes[range]))
            return try reader.value()
        }
    }

    private mutating func isWhole() throws(MessagePackError) -> Bool {
        var position = scanned
        var levels = open
        if levels.isEmpty { levels = [1] }
        let isComplete = try buffer.withRawBytes { bytes throws(MessagePackError) -> Bool in
            while let last = levels.last {
                if last == 0 {
                    levels.removeLast()
                    continue
                }
                guard let step = try Self.step(bytes, position) else { return false }
                levels[levels.count - 1] -= 1
                position += step.length
                if step.elements > 0 {
                    guard levels.count < MessagePackReader.maximumDepth else { throw .tooDeep }
                    levels.append(step.elements)
                }
            }
            return true
        }
        scanned = position
        open = levels
        return isComplete
    }

    /// Bytes of the value's head and content, and the elements that follow; nil when it is not all there.
    private static func step(
        _ bytes: UnsafeRawBufferPointer, _ position: Int
    ) throws(MessagePackError) -> (length: Int, elements: Int)? {
        guard position < bytes.count else { return nil }
        let first = bytes[position]
        func size(_ width: Int) -> Int? {
            guard position + 1 + width <= bytes.count else { return nil }
            return (1...width).reduce(0) { $0 << 8 | Int(bytes[position + $1]) }
        }
        func content(_ width: Int, more: Int = 0) -> (length: Int, elements: Int)? {
            guard let count = size(width), position + 1 + width + more + count <= bytes.count else { return nil }
            return (1 + width + more + count, 0)
        }
        func fixed(_ count: Int) -> (length: Int, elements: Int)? {
            position + 1 + count <= bytes.count ? (1 + count, 0) : nil
        }
        switch first {
        case 0x80...0x8F: return (1, 2 * Int(first & 0x0F))
        case 0x90...0x9F: return (1, Int(first & 0x0F))
        case 0xA0...0xBF: return fixed(Int(first & 0x1F))
        case 0xC1: throw .malformed("byte 0xC1 is never used")
        case 0xC4...0xC6: return content(1 << Int(first - 0xC4))
        case 0xC7...0xC9: return content(1 << Int(first - 0xC7), more: 1)
        case 0xCA: return fixed(4)
        case 0xCB: return fixed(8)
        case 0xCC...0xCF: return fixed(1 << Int(first - 0xCC))
        case 0xD0...0xD3: return fixed(1 << Int(first - 0xD0))
        case 0xD4...0xD8: return fixed(1 + (1 << Int(first - 0xD4)))
        case 0xD9...0xDB: return content(1 << Int(first - 0xD9))
        case 0xDC, 0xDD: return size(2 << Int(first - 0xDC)).map { (1 + (2 << Int(first - 0xDC)), $0) }
        case 0xDE, 0xDF: return size(2 << Int(first - 0xDE)).map { (1 + (2 << Int(first - 0xDE)), 2 * $0) }
        default: return fixed(0)
        }
    }
}
