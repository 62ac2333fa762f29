import Essentials
import Glibc

/// What is known of one segment file.
struct Segment: Sendable, Equatable {
    let number: UInt64
    /// Records end here, in bytes from the start of the file.
    var end: Int
    var items = 0
    var records = 0
    /// Milliseconds since 1970 at which the last record was appended.
    var newest = Int64.min
    /// Nothing will be appended any more.
    var isSealed = true
    /// Where something unreadable was found, at ``end`` or before.
    var damagedAt: Int?

    var isDamaged: Bool { damagedAt != nil }
    /// Records can be read up to here.
    var readableEnd: Int { damagedAt ?? end }
}

/// A directory of segment and acknowledgement files; other files in it are left alone.
struct SegmentDirectory: Sendable {
    let path: String
    let files: any LogFiles
    private static let windowSize = 1 << 20
    /// Damaged segments kept for people to look at; older ones are deleted.
    private static let damagedKept = 2

    func path(of number: UInt64) -> String {
        let digits = String(number)
        return "\(path)/\(String(repeating: "0", count: max(0, 10 - digits.count)))\(digits).segment"
    }

    /// The acknowledgement file of a destination; the name is escaped so that any destination makes one file.
    func acknowledgementPath(of destination: String) -> String {
        var name = ""
        for byte in destination.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == 0x2D || byte == 0x5F
            if isPlain {
                name.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                name += "%" + String(byte, radix: 16, uppercase: true)
            }
        }
        if name.utf8.count > 200 {
            let hash = Array(destination.utf8).withUnsafeBytes { CRC32C.checksum($0) }
            name = "\(name.prefix(180))-\(hash)"
        }
        return "\(path)/\(name).acknowledged"
    }

    // MARK: Opening

    struct Recovery {
        var segments: [Segment] = []
        /// Bytes cut off the last segment: records whose appending had not finished.
        var tornBytes = 0
        var nextNumber: UInt64 = 1

        /// When the newest record was appended.
        var newest: Int64 { segments.reduce(.min) { max($0, $1.newest) } }
    }

    /// Finds the segments. Only the last one is read, from what everyone has acknowledged on, and only when it was not
    /// closed properly.
    func recover(from acknowledged: AcknowledgementFormat.Slot? = nil) throws -> Recovery {
        var recovery = Recovery()
        let numbers = try Files.list(path).compactMap { name -> UInt64? in
            guard name.hasSuffix(".segment") else { return nil }
            return UInt64(name.dropLast(8))
        }.sorted()
        for number in numbers {
            if let segment = try examine(number, isLast: number == numbers.last, acknowledged, &recovery) {
                recovery.segments.append(segment)
            }
        }
        recovery.nextNumber = (numbers.last ?? 0) + 1
        return recovery
    }

    private func examine(
        _ number: UInt64, isLast: Bool, _ acknowledged: AcknowledgementFormat.Slot?, _ recovery: inout Recovery
    ) throws -> Segment? {
        let path = path(of: number)
        let descriptor = try files.openOrCreate(path)
        defer { files.close(descriptor) }
        let size = try files.size(of: descriptor, path: path)
        let start = SegmentFormat.segmentHeaderSize
        let hasHeader = try read(descriptor, path, at: 0, count: start) { bytes in
            SegmentFormat.isSegmentHeader(bytes, number: number)
        }
        let footer = try read(
            descriptor, path, at: max(0, size - SegmentFormat.footerSize), count: SegmentFormat.footerSize
        ) {
            SegmentFormat.readFooter($0)
        }
        if let footer, size >= start + SegmentFormat.footerSize {
            return Segment(
                number: number, end: hasHeader ? size - SegmentFormat.footerSize : start, items: footer.items,
                records: footer.records, newest: footer.newest, damagedAt: hasHeader ? nil : start)
        }
        if !hasHeader {
            // A crash right after creation leaves less than a header; anything else is damage.
            if size < start {
                try files.remove(path)
                return nil
            }
            var segment = Segment(number: number, end: start, damagedAt: start)
            try countRest(of: &segment, descriptor, path, size)
            return segment
        }
        if !isLast { return try hop(descriptor, path, number, size) }
        var segment = Segment(number: number, end: start)
        if let acknowledged, acknowledged.position.segment == number, acknowledged.position.offset >= start,
            acknowledged.position.offset <= size
        {
            segment.end = acknowledged.position.offset
            segment.items = acknowledged.itemsInSegment
        }
        try scan(&segment, descriptor, path, size)
        if segment.end < size {
            if segment.isDamaged, try isZero(descriptor, path, from: segment.end, size) { segment.damagedAt = nil }
            if !segment.isDamaged {
                recovery.tornBytes += size - segment.end
                try files.truncate(descriptor, to: segment.end, path: path)
            }
        }
        if segment.records == 0, !segment.isDamaged {
            // Empty, or acknowledged to its end.
            try files.remove(path)
            return nil
        }
        if segment.isDamaged { try countRest(of: &segment, descriptor, path, size) }
        if !segment.isDamaged { seal(segment, descriptor) }
        return segment
    }

    /// Writes the footer, best effort: a segment without one is only slower to open.
    func seal(_ segment: Segment, _ descriptor: CInt) {
        let footer = SegmentFormat.footer(
            .init(items: segment.items, records: segment.records, newest: segment.newest))
        let path = path(of: segment.number)
        do throws(SystemError) {
            try files.write(footer, to: descriptor, at: segment.end, path: path)
        } catch {
            try? files.truncate(descriptor, to: segment.end, path: path)
        }
    }

    /// Counts records by their headers alone.
    private func hop(_ descriptor: CInt, _ path: String, _ number: UInt64, _ size: Int) throws -> Segment {
        var segment = Segment(number: number, end: SegmentFormat.segmentHeaderSize)
        while segment.end < size {
            let header = try read(descriptor, path, at: segment.end, count: SegmentFormat.headerSize) { bytes in
                bytes.count == SegmentFormat.headerSize ? SegmentFormat.readHeader(bytes, at: 0) : nil
            }
            guard let header, segment.end + SegmentFormat.headerSize + header.length <= size else {
                segment.damagedAt = segment.end
                try countRest(of: &segment, descriptor, path, size)
                break
            }
            segment.end += SegmentFormat.headerSize + header.length
            segment.items += header.items
            segment.records += 1
            segment.newest = max(segment.newest, header.appendedAt)
        }
        return segment
    }

    /// Reads and checks records from the segment's end on.
    private func scan(_ segment: inout Segment, _ descriptor: CInt, _ path: String, _ size: Int) throws {
        while true {
            let place = LogPosition(segment: segment.number, offset: segment.end)
            let run = try fetch(descriptor, path, from: place, to: size)
            for stored in run.records {
                segment.items += stored.record.items
                segment.records += 1
                segment.newest = max(segment.newest, stored.appendedAt)
            }
            segment.end = run.next
            switch run.stop {
            case .more: continue
            case .end, .incomplete: return
            case .damaged:
                segment.damagedAt = segment.end
                return
            }
        }
    }

    /// Adds the items of the records behind a damaged place to the segment's: they are lost, and counted when a reader
    /// comes to the place. Only headers are looked at; what a damaged header said is not known.
    private func countRest(of segment: inout Segment, _ descriptor: CInt, _ path: String, _ size: Int) throws {
        var offset = segment.damagedAt ?? segment.end
        while offset + SegmentFormat.headerSize <= size {
            let window = min(Self.windowSize, size - offset)
            let (place, header) = try read(descriptor, path, at: offset, count: window) { bytes in
                Self.firstHeader(bytes)
            }
            guard let header else {
                offset += max(place, 1)
                continue
            }
            offset += place + SegmentFormat.headerSize + header.length
            // The last record may never have been written to its end: then nobody was told that it was taken.
            guard offset <= size else { return }
            segment.items += header.items
            segment.newest = max(segment.newest, header.appendedAt)
        }
    }

    /// The first place in `bytes` where a header is, or where to look on.
    private static func firstHeader(_ bytes: UnsafeRawBufferPointer) -> (place: Int, header: SegmentFormat.Header?) {
        var place = 0
        while place + SegmentFormat.headerSize <= bytes.count {
            if let header = SegmentFormat.readHeader(bytes, at: place) { return (place, header) }
            place += 1
        }
        return (place, nil)
    }

    private func isZero(_ descriptor: CInt, _ path: String, from start: Int, _ size: Int) throws -> Bool {
        var offset = start
        while offset < size {
            let step = min(Self.windowSize, size - offset)
            let isZero = try read(descriptor, path, at: offset, count: step) { bytes in bytes.allSatisfy { $0 == 0 } }
            if !isZero { return false }
            offset += step
        }
        return true
    }

    // MARK: Reading records

    struct Run {
        enum Stop { case more, end, incomplete, damaged }
        var records: [StoredRecord] = []
        /// Where the next record begins.
        var next: Int
        var stop: Stop
    }

    /// Reads records from `start` up to byte `end` of its segment, a window of them at a time.
    func fetch(_ descriptor: CInt, _ path: String, from start: LogPosition, to end: Int) throws(SystemError) -> Run {
        var run = Run(next: start.offset, stop: .more)
        guard start.offset < end else {
            run.stop = .end
            return run
        }
        var window = min(Self.windowSize, end - start.offset)
        while true {
            var needed = 0
            try read(descriptor, path, at: start.offset, count: window) { bytes in
                var offset = 0
                while offset < bytes.count {
                    switch SegmentFormat.parse(bytes, at: offset, segment: start.segment, base: start.offset) {
                    case .record(let stored):
                        run.records.append(stored)
                        offset += stored.size
                        run.next += stored.size
                        continue
                    case .footer: run.stop = .end
                    case .damaged: run.stop = .damaged
                    case .incomplete(let size):
                        if bytes.count < window { run.stop = .incomplete } else { needed = size }
                    }
                    return
                }
                if bytes.count < window { run.stop = .incomplete }
            }
            if needed == 0 {
                if run.stop == .more, run.next >= end { run.stop = .end }
                return run
            }
            if run.next + needed > end {
                run.stop = .incomplete
                return run
            }
            if !run.records.isEmpty || window >= needed { return run }
            window = needed
        }
    }

    private func read<Result>(
        _ descriptor: CInt, _ path: String, at offset: Int, count: Int,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(SystemError) -> Result {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 16)
        defer { buffer.deallocate() }
        let window = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        let length = try files.read(into: window, from: descriptor, at: offset, path: path)
        return body(UnsafeRawBufferPointer(rebasing: buffer[..<length]))
    }

    // MARK: Removing

    /// Deletes a segment, or sets it aside when it is damaged.
    func discard(_ segment: Segment) {
        let path = path(of: segment.number)
        guard segment.isDamaged else {
            try? files.remove(path)
            return
        }
        try? files.rename(path, to: path + ".damaged")
        let damaged = ((try? Files.list(self.path)) ?? []).filter { $0.hasSuffix(".segment.damaged") }
        for name in damaged.dropLast(Self.damagedKept) { try? files.remove("\(self.path)/\(name)") }
    }

    /// Deletes the acknowledgement files of destinations other than `destinations`.
    func forgetDestinations(except destinations: [String]) throws {
        let kept = Set(destinations.map(acknowledgementPath(of:)))
        for name in try Files.list(path) where name.hasSuffix(".acknowledged") && !kept.contains("\(path)/\(name)") {
            try files.remove("\(path)/\(name)")
        }
    }
}
