import Testing

@testable import Wire

@Suite("Protobuf")
struct ProtobufTests {
    static let varints: [UInt64] = [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 35, (1 << 56) - 1, 1 << 63, .max]

    @Test("A varint comes back as written, in the size announced", arguments: varints)
    func varintRoundTrip(_ value: UInt64) throws {
        var writer = ProtobufWriter(capacity: 1)
        writer.appendVarint(value)
        #expect(writer.count == ProtobufWriter.varintSize(value))
        let read = try writer.withBytes { bytes throws(ProtobufError) in
            var reader = ProtobufReader(bytes)
            return try reader.varint()
        }
        #expect(read == value)
    }

    @Test("Every field type comes back as written")
    func fieldsRoundTrip() throws {
        var writer = ProtobufWriter()
        writer.field(1, int64: -5)
        writer.field(2, sint64: .min)
        writer.field(3, double: -0.5)
        writer.field(4, string: "héllo")
        writer.field(5, bool: true)
        writer.field(536_870_911, fixed32: 7)
        let bytes = writer.bytes
        try bytes.withUnsafeBytes { bytes in
            var reader = ProtobufReader(bytes)
            #expect(try reader.int64(#require(try reader.nextTag())) == -5)
            #expect(try reader.sint64(#require(try reader.nextTag())) == .min)
            #expect(try reader.double(#require(try reader.nextTag())) == -0.5)
            #expect(try reader.string(#require(try reader.nextTag())) == "héllo")
            #expect(try reader.bool(#require(try reader.nextTag())))
            let last = try #require(try reader.nextTag())
            #expect(last.field == 536_870_911)
            #expect(try reader.fixed32(last) == 7)
            #expect(try reader.nextTag() == nil)
        }
    }

    @Test("Nested messages of any size get the right length", arguments: [0, 1, 127, 128, 20_000])
    func nestedLengths(_ size: Int) throws {
        let payload = [UInt8](repeating: 0xAB, count: size)
        var writer = ProtobufWriter(capacity: 8)
        let outer = writer.beginMessage(1)
        let inner = writer.beginMessage(2)
        payload.withUnsafeBytes { writer.append($0) }
        writer.endMessage(inner)
        writer.field(3, varint: 9)
        writer.endMessage(outer)
        try writer.bytes.withUnsafeBytes { bytes in
            var reader = ProtobufReader(bytes)
            var message = try reader.message(#require(try reader.nextTag()))
            #expect(Array(try message.bytes(#require(try message.nextTag()))) == payload)
            #expect(try message.uint64(#require(try message.nextTag())) == 9)
            #expect(message.isAtEnd && reader.isAtEnd)
        }
    }

    @Test(
        "Malformed bytes are refused",
        arguments: [
            ([0x08], ProtobufError.truncated), ([0x08, 0x80], .truncated), ([0x0A, 0x05, 1], .truncated),
            ([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], .truncated),
            ([0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02], .malformedVarint),
            ([0x00], .malformedTag), ([0x0E], .malformedTag), ([0x0C], .malformedTag), ([0x0B], .truncated),
            ([0x0B, 0x14], .malformedTag), ([0x09, 1, 2, 3], .truncated), ([0x0D, 1], .truncated),
        ] as [([UInt8], ProtobufError)])
    func malformed(_ bytes: [UInt8], _ expected: ProtobufError) {
        #expect(throws: expected) {
            try bytes.withUnsafeBytes { bytes in
                var reader = ProtobufReader(bytes)
                while let tag = try reader.nextTag() { try reader.skip(tag) }
            }
        }
    }

    @Test("Groups are skipped with what is in them, to a bounded depth")
    func groups() throws {
        let nested: [UInt8] = [0x0B, 0x13, 0x08, 0x01, 0x14, 0x0C, 0x18, 0x2A]
        try nested.withUnsafeBytes { bytes in
            var reader = ProtobufReader(bytes)
            try reader.skip(#require(try reader.nextTag()))
            #expect(try reader.uint64(#require(try reader.nextTag())) == 42)
        }
        let deep = [UInt8](repeating: 0x0B, count: 1000)
        #expect(throws: ProtobufError.tooMany("nested groups")) {
            try deep.withUnsafeBytes { bytes in
                var reader = ProtobufReader(bytes)
                try reader.skip(#require(try reader.nextTag()))
            }
        }
    }
}
