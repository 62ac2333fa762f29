package import Essentials

/// What is put into a ``SegmentLog``: opaque bytes and what the books need to know about them.
package struct SegmentRecord: Sendable, Equatable {
    package var payload: [UInt8]
    /// Samples, entries or spans inside: what the ledger counts.
    package var items: Int
    /// For the log's user: read back as written.
    package var tag: UInt32
    /// Milliseconds since 1970 of the oldest item, for the log's user.
    package var oldestTimestamp: Int64

    package init(payload: [UInt8], items: Int, tag: UInt32 = 0, oldestTimestamp: Int64 = 0) {
        self.payload = payload
        self.items = items
        self.tag = tag
        self.oldestTimestamp = oldestTimestamp
    }
}

/// A place in a log: a segment's number and a byte within it.
package struct LogPosition: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var segment: UInt64
    package var offset: Int

    package init(segment: UInt64, offset: Int) {
        self.segment = segment
        self.offset = offset
    }

    package static func < (left: LogPosition, right: LogPosition) -> Bool {
        left.segment != right.segment ? left.segment < right.segment : left.offset < right.offset
    }

    package var description: String { "\(segment):\(offset)" }
}

/// A record read back.
package struct StoredRecord: Sendable, Equatable {
    package var record: SegmentRecord
    package var position: LogPosition
    /// Milliseconds since 1970 at which it was appended.
    package var appendedAt: Int64

    package init(record: SegmentRecord, position: LogPosition, appendedAt: Int64) {
        self.record = record
        self.position = position
        self.appendedAt = appendedAt
    }

    /// Bytes in the file, header included.
    var size: Int { SegmentFormat.headerSize + record.payload.count }
    var end: LogPosition { LogPosition(segment: position.segment, offset: position.offset + size) }
}

/// Why a log lost records before their reader took them.
package enum LogLoss: Sendable, Equatable {
    /// The log reached its size.
    case sizeLimit
    /// Records became older than the log keeps them.
    case ageLimit
    /// The bytes on disk were not what was written.
    case damaged
}

/// Why a log did not take records.
package enum SegmentLogError: Error, Sendable, CustomStringConvertible {
    /// The disk is full; later appends may succeed. Nothing of the records was kept.
    case noSpace(SystemError)
    /// Writing failed; later appends may succeed. Nothing of the records was kept.
    case writeFailed(SystemError)
    /// The log has reached its size with records too young to be given up; nothing of the new ones was kept.
    case full(ByteCount)
    /// The records are larger than the log allows at once.
    case tooLarge(Int)
    /// Another process has the directory open.
    case inUse(String)
    case closed

    package var isRetryable: Bool {
        switch self {
        case .noSpace, .writeFailed, .full, .closed: true
        case .tooLarge, .inUse: false
        }
    }

    package var description: String {
        switch self {
        case .noSpace(let error), .writeFailed(let error): "\(error)"
        case .full(let limit): "the log is full: \(limit)"
        case .tooLarge(let bytes): "records of \(bytes) bytes are too large for the log"
        case .inUse(let path): "\(path) is in use by another process"
        case .closed: "the log is closed"
        }
    }
}
