/// The bytes of a segment file.
///
///     segment := "INVRSEG1" number:u64 record* footer?
///     record  := length:u32 headerCRC:u32 payloadCRC:u32 items:u32 tag:u32 oldest:i64 appended:i64 payload
///     footer  := "INVREND1" items:u64 records:u64 newest:i64 crc:u32 0:u32
///
/// Integers are little-endian, checksums CRC32C. The header's covers the other fields of the header, so that a record that
/// was cut off (its header holds, its payload ends early) is told from one that was damaged. The footer is written when a
/// segment is complete; one without a footer was left by a crash.
enum SegmentFormat {
    static let segmentHeaderSize = 16
    static let headerSize = 36
    static let footerSize = 40
    /// Longest payload; a longer length field is damage.
    static let payloadLimit = 64 << 20
    private static let segmentMagic: UInt64 = 0x3147_4553_5256_4E49
    private static let footerMagic: UInt64 = 0x3144_4E45_5256_4E49

    struct Footer: Equatable {
        var items: Int
        var records: Int
        /// Milliseconds since 1970 at which the last record was appended.
        var newest: Int64
    }

    /// What lies at an offset.
    enum Parsed {
        case record(StoredRecord)
        case footer
        /// The bytes end before the record does, which takes this many.
        case incomplete(Int)
        /// Not a record: checksum or length is wrong.
        case damaged
    }

    struct Header {
        var length: Int
        var payloadChecksum: UInt32
        var items: Int
        var tag: UInt32
        var oldest: Int64
        var appendedAt: Int64
    }

    // MARK: Writing

    static func appendSegmentHeader(_ number: UInt64, to bytes: inout [UInt8]) {
        append(segmentMagic, to: &bytes)
        append(number, to: &bytes)
    }

    static func append(_ record: SegmentRecord, appendedAt: Int64, to bytes: inout [UInt8]) {
        let start = bytes.count
        append(UInt32(record.payload.count), to: &bytes)
        append(UInt32(0), to: &bytes)
        append(record.payload.withUnsafeBytes { CRC32C.checksum($0) }, to: &bytes)
        append(UInt32(clamping: record.items), to: &bytes)
        append(record.tag, to: &bytes)
        append(record.oldestTimestamp, to: &bytes)
        append(appendedAt, to: &bytes)
        let checksum = bytes.withUnsafeBytes { headerChecksum($0, at: start) }
        for index in 0..<4 { bytes[start + 4 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index))) }
        bytes.append(contentsOf: record.payload)
    }

    static func footer(_ footer: Footer) -> [UInt8] {
        var bytes: [UInt8] = []
        append(footerMagic, to: &bytes)
        append(UInt64(footer.items), to: &bytes)
        append(UInt64(footer.records), to: &bytes)
        append(footer.newest, to: &bytes)
        append(bytes.withUnsafeBytes { CRC32C.checksum($0) }, to: &bytes)
        append(UInt32(0), to: &bytes)
        return bytes
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    // MARK: Reading

    static func isSegmentHeader(_ bytes: UnsafeRawBufferPointer, number: UInt64) -> Bool {
        bytes.count >= segmentHeaderSize && load(bytes, 0) == segmentMagic && load(bytes, 8) == number
    }

    static func readFooter(_ bytes: UnsafeRawBufferPointer) -> Footer? {
        guard bytes.count == footerSize, load(bytes, 0) as UInt64 == footerMagic else { return nil }
        let checksum: UInt32 = load(bytes, 32)
        guard checksum == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<32])) else { return nil }
        let items: UInt64 = load(bytes, 8)
        let records: UInt64 = load(bytes, 16)
        guard items < 1 << 48, records < 1 << 48 else { return nil }
        return Footer(items: Int(items), records: Int(records), newest: load(bytes, 24))
    }

    /// The header at `offset`, if it is one. `offset` and the header must be within `bytes`.
    static func readHeader(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Header? {
        let length: UInt32 = load(bytes, offset)
        let checksum: UInt32 = load(bytes, offset + 4)
        guard Int(length) <= payloadLimit, checksum == headerChecksum(bytes, at: offset) else { return nil }
        let items: UInt32 = load(bytes, offset + 12)
        return Header(
            length: Int(length), payloadChecksum: load(bytes, offset + 8), items: Int(items),
            tag: load(bytes, offset + 16), oldest: load(bytes, offset + 20), appendedAt: load(bytes, offset + 28))
    }

    /// Reads what lies at `offset` of `bytes`, which begin at `base` of segment `number`.
    static func parse(_ bytes: UnsafeRawBufferPointer, at offset: Int, segment number: UInt64, base: Int) -> Parsed {
        let available = bytes.count - offset
        if available >= 8, load(bytes, offset) as UInt64 == footerMagic { return .footer }
        guard available >= headerSize else { return .incomplete(headerSize) }
        guard let header = readHeader(bytes, at: offset) else { return .damaged }
        guard available - headerSize >= header.length else { return .incomplete(headerSize + header.length) }
        let start = offset + headerSize
        let payload = UnsafeRawBufferPointer(rebasing: bytes[start..<start + header.length])
        guard CRC32C.checksum(payload) == header.payloadChecksum else { return .damaged }
        return .record(
            StoredRecord(
                record: SegmentRecord(
                    payload: Array(payload), items: header.items, tag: header.tag, oldestTimestamp: header.oldest),
                position: LogPosition(segment: number, offset: base + offset), appendedAt: header.appendedAt))
    }

    private static func headerChecksum(_ bytes: UnsafeRawBufferPointer, at start: Int) -> UInt32 {
        let length = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[start..<start + 4]))
        return CRC32C.checksum(
            UnsafeRawBufferPointer(rebasing: bytes[(start + 8)..<(start + headerSize)]), seed: length)
    }

    static func load<Value: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Value {
        Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}

/// The file that says how far a destination has acknowledged a log.
///
///     file := slot slot
///     slot := "INVRACK1" sequence:u64 segment:u64 offset:u64 items:u64 crc:u32 0:u32 padding to 64
///
/// Slots are written in turn, so that a torn write leaves the other one; the higher valid sequence counts.
enum AcknowledgementFormat {
    static let slotSize = 64
    static let fileSize = 128
    private static let magic: UInt64 = 0x314B_4341_5256_4E49

    struct Slot: Equatable {
        var sequence: UInt64
        var position: LogPosition
        /// Items of `position.segment` that lie before `position.offset`.
        var itemsInSegment: Int
    }

    static func bytes(of slot: Slot) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(slotSize)
        let offset = UInt64(slot.position.offset)
        for value in [magic, slot.sequence, slot.position.segment, offset, UInt64(slot.itemsInSegment)] {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        let checksum = bytes.withUnsafeBytes { CRC32C.checksum($0) }
        withUnsafeBytes(of: checksum.littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: repeatElement(0, count: slotSize - bytes.count))
        return bytes
    }

    /// The newest valid slot of a file's content.
    static func read(_ bytes: UnsafeRawBufferPointer) -> Slot? {
        var newest: Slot?
        for start in stride(from: 0, through: bytes.count - slotSize, by: slotSize) {
            let slot = UnsafeRawBufferPointer(rebasing: bytes[start..<start + slotSize])
            let checksum: UInt32 = SegmentFormat.load(slot, 40)
            guard SegmentFormat.load(slot, 0) == magic,
                CRC32C.checksum(UnsafeRawBufferPointer(rebasing: slot[..<40])) == checksum
            else { continue }
            let offset: UInt64 = SegmentFormat.load(slot, 24)
            let items: UInt64 = SegmentFormat.load(slot, 32)
            guard offset < 1 << 48, items < 1 << 48 else { continue }
            let read = Slot(
                sequence: SegmentFormat.load(slot, 8),
                position: LogPosition(segment: SegmentFormat.load(slot, 16), offset: Int(offset)),
                itemsInSegment: Int(items))
            if newest.map({ $0.sequence < read.sequence }) ?? true { newest = read }
        }
        return newest
    }
}
