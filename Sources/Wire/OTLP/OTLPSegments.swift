import Glibc

/// A request under construction: pieces of bytes that stay where they are until all are joined by one copy.
///
/// Pieces are borrowed: they must live until ``joined()``. What is written anew lives in an arena of its own.
struct OTLPSegments: ~Copyable {
    /// A group whose header is written once its content is known.
    struct Opening {
        fileprivate let position: Int
        fileprivate let count: Int
    }

    private var pieces: [UnsafeRawBufferPointer] = []
    private var arena = ByteArena(firstCapacity: 4096)
    /// Bytes in all pieces.
    private(set) var count = 0

    mutating func removeAll() {
        pieces.removeAll(keepingCapacity: true)
        arena.reset()
        count = 0
    }

    /// Adds a piece; joins it to the last when it follows it in memory.
    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        count &+= bytes.count
        if let last = pieces.last, let lastStart = last.baseAddress, lastStart + last.count == start {
            pieces[pieces.count &- 1] = UnsafeRawBufferPointer(start: lastStart, count: last.count &+ bytes.count)
        } else {
            pieces.append(bytes)
        }
    }

    /// Adds a delimited field with a tag of one byte and returns its content.
    @discardableResult
    mutating func appendField(_ tag: UInt8, _ message: OTLPMessage) -> UnsafeRawBufferPointer {
        let size = message.encodedCount
        let total = 1 + ProtobufWriter.varintSize(UInt64(size)) + size
        let memory = arena.allocate(total)
        var cursor = WriteCursor(memory)
        cursor.byte(tag)
        cursor.varint(UInt64(size))
        message.write(to: &cursor)
        append(UnsafeRawBufferPointer(start: memory, count: total))
        return UnsafeRawBufferPointer(start: memory + (total - size), count: size)
    }

    mutating func appendField(_ tag: UInt8, _ content: UnsafeRawBufferPointer) {
        let total = 1 + ProtobufWriter.varintSize(UInt64(content.count)) + content.count
        let memory = arena.allocate(total)
        var cursor = WriteCursor(memory)
        cursor.delimited(tag, content)
        append(UnsafeRawBufferPointer(start: memory, count: total))
    }

    /// Begins a group; what is added until it is closed belongs to it.
    mutating func open() -> Opening {
        let opening = Opening(position: pieces.count, count: count)
        pieces.append(OTLPBytes.empty)
        return opening
    }

    /// Ends a group by a header: tag, length of everything, the fields of `message` but one.
    mutating func close(_ opening: Opening, tag: UInt8, with message: OTLPMessage, except field: Int) {
        let own = message.encodedCount(except: field)
        let size = own + count - opening.count
        let total = 1 + ProtobufWriter.varintSize(UInt64(size)) + own
        let memory = arena.allocate(total)
        var cursor = WriteCursor(memory)
        cursor.byte(tag)
        cursor.varint(UInt64(size))
        message.write(to: &cursor, except: field)
        pieces[opening.position] = UnsafeRawBufferPointer(start: memory, count: total)
        count += total
    }

    /// Forgets a group and adds `bytes` in its place.
    mutating func abandon(_ opening: Opening, for bytes: UnsafeRawBufferPointer = OTLPBytes.empty) {
        pieces.removeSubrange(opening.position...)
        count = opening.count
        append(bytes)
    }

    /// Everything in one piece.
    func joined() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            guard let base = buffer.baseAddress else { return }
            var offset = 0
            for piece in pieces {
                guard let source = piece.baseAddress else { continue }
                memcpy(base + offset, source, piece.count)
                offset += piece.count
            }
            initialized = offset
        }
    }
}

extension OTLPMessage {
    /// Replaces a single message field with `message`, or adds it.
    func replace(_ field: Int, with message: OTLPMessage) {
        let index = lastSlot(field)
        place(message, field: field, at: index)
        guard let index else { return }
        for earlier in 0..<index where slots[earlier].field == field && slots[earlier].tag != 0 { removeSlot(earlier) }
    }
}
