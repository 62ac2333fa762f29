import Glibc
import TextFormats

/// Which output of a container a line came from. A terminal is one stream, the first.
package enum DockerStream: Int, Sendable, CaseIterable {
    case stdout, stderr

    /// As the label says it.
    package var name: String { self == .stdout ? "stdout" : "stderr" }
}

/// Why the bytes of a log cannot be read on.
package enum DockerLogError: Error, Equatable, CustomStringConvertible {
    /// Bytes that begin no frame.
    case malformed
    /// What the daemon says in the stream itself.
    case daemon(String)

    package var description: String {
        switch self {
        case .malformed: "the log is not a multiplexed stream"
        case .daemon(let message): "the daemon reports: \(message)"
        }
    }
}

/// Makes lines of a container's log as the Docker Engine API sends it with `timestamps=1`.
///
/// Source of the protocol: Docker Engine API, "Attach to a container", stream format. A message is a time, a space and up
/// to 16 KiB of text; one without a line end goes on in the stream's next message. Docker gives all parts of a line the
/// time of its first; other daemons may let them differ a little, see ``joinNanoseconds``.
package struct DockerLogParser {
    /// A line without its end.
    package struct Line {
        package var stream: DockerStream
        /// Nanoseconds since 1970.
        package var time: Int64
        /// Valid until the call it is handed to returns.
        package var bytes: UnsafeRawBufferPointer
        /// Whether the line was longer than ``DockerLogParser/maximumLineBytes``.
        package var isCut: Bool
    }

    /// Bytes of a line; upstream's buffer is as long.
    package static let maximumLineBytes = 1 << 20
    /// Bytes of a message's text when more of its line follows, without headers.
    static let partBytes = 16 << 10
    /// Parts whose times differ by more are different lines: the writer of the first is gone.
    static let joinNanoseconds: Int64 = 100_000_000
    private static let headerBytes = 8
    /// No time is longer than this.
    private static let timeBytes = 64
    /// A time as Docker writes it, with nine digits of a second, and a space.
    private static let stampBytes = 31

    private struct Part {
        var isOpen = false
        var time: Int64 = 0
        var bytes: [UInt8] = []
        var isCut = false
    }

    /// The size of the next line, or of what is held of it, from which on it is cut; lower when memory is short.
    package var lineLimit = DockerLogParser.maximumLineBytes
    /// Messages that say no time, since ``takeUntimed()``.
    private var untimed = 0

    private let isTerminal: Bool
    private var header: [UInt8] = []
    private var kind: UInt8 = 0
    /// Bytes of the frame that are still to come.
    private var remaining = 0
    /// The message or the terminal's line that has not come whole yet.
    private var message: [UInt8] = []
    private var isMessageCut = false
    private var parts = [Part(), Part()]

    /// `isTerminal` says that bytes come as they are, without frames.
    package init(isTerminal: Bool) { self.isTerminal = isTerminal }

    /// Bytes kept between calls.
    package var heldBytes: Int { message.count + parts[0].bytes.count + parts[1].bytes.count }

    /// The time of the line of `stream` that has begun and not ended.
    package func pending(_ stream: DockerStream) -> Int64? {
        if isTerminal {
            guard stream == .stdout, !message.isEmpty else { return nil }
            return message.withUnsafeBytes { Self.timed($0)?.time }
        }
        let part = parts[stream.rawValue]
        return part.isOpen ? part.time : nil
    }

    /// How many messages without a time there were since the last call.
    package mutating func takeUntimed() -> Int {
        defer { untimed = 0 }
        return untimed
    }

    /// Reads a piece of the stream and hands out the lines it ends.
    package mutating func push(
        _ piece: UnsafeRawBufferPointer, _ body: (Line) -> Void
    ) throws(DockerLogError) {
        if isTerminal { pushTerminal(piece, body) } else { try pushFrames(piece, body) }
    }

    /// Hands out lines that have begun: no more will come of them.
    package mutating func finish(_ body: (Line) -> Void) {
        if isTerminal {
            guard !message.isEmpty else { return }
            takeMessage { $0.terminalLine($1, body) }
            return
        }
        for stream in DockerStream.allCases where parts[stream.rawValue].isOpen { close(stream, body) }
    }

    // MARK: Frames

    private mutating func pushFrames(
        _ piece: UnsafeRawBufferPointer, _ body: (Line) -> Void
    ) throws(DockerLogError) {
        var rest = piece[...]
        while !rest.isEmpty {
            if remaining == 0 {
                let count = min(Self.headerBytes - header.count, rest.count)
                header.append(contentsOf: rest.prefix(count))
                rest = rest.dropFirst(count)
                guard header.count == Self.headerBytes else { return }
                guard header[0] <= 3, header[1] | header[2] | header[3] == 0 else { throw .malformed }
                kind = header[0]
                remaining = header[4...].reduce(0) { $0 << 8 | Int($1) }
                header.removeAll(keepingCapacity: true)
                continue
            }
            let count = min(remaining, rest.count)
            let part = UnsafeRawBufferPointer(rebasing: rest.prefix(count))
            rest = rest.dropFirst(count)
            remaining -= count
            if message.isEmpty, remaining == 0 {
                let kept = lineLimit + Self.timeBytes
                try receive(
                    UnsafeRawBufferPointer(rebasing: part.prefix(kept)), wasCut: part.count > kept, body)
                continue
            }
            hold(part)
            if remaining > 0 { continue }
            var failure: DockerLogError?
            takeMessage { parser, bytes in
                do throws(DockerLogError) {
                    try parser.receive(bytes, wasCut: parser.isMessageCut, body)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
        }
    }

    private mutating func hold(_ bytes: UnsafeRawBufferPointer) {
        let room = max(0, lineLimit + Self.timeBytes - message.count)
        if bytes.count > room { isMessageCut = true }
        message.append(contentsOf: bytes.prefix(room))
    }

    /// Hands over what is held and begins anew, keeping memory of an ordinary size.
    private mutating func takeMessage(_ body: (inout DockerLogParser, UnsafeRawBufferPointer) -> Void) {
        var taken: [UInt8] = []
        swap(&taken, &message)
        taken.withUnsafeBytes { body(&self, $0) }
        isMessageCut = false
        if taken.capacity <= 4 * Self.partBytes {
            taken.removeAll(keepingCapacity: true)
            swap(&taken, &message)
        }
    }

    private mutating func receive(
        _ bytes: UnsafeRawBufferPointer, wasCut: Bool, _ body: (Line) -> Void
    ) throws(DockerLogError) {
        if kind == 3 {
            throw .daemon(String(decoding: bytes.prefix(1024), as: UTF8.self).filter { $0 != "\n" && $0 != "\r" })
        }
        let stream: DockerStream = kind == 2 ? .stderr : .stdout
        let index = stream.rawValue
        guard let (time, start) = Self.timed(bytes) else {
            if parts[index].isOpen {
                add(bytes, stream, at: parts[index].time, wasCut: wasCut, body)
            } else if !bytes.isEmpty {
                untimed += 1
            }
            return
        }
        if parts[index].isOpen {
            let distance = time.subtractingReportingOverflow(parts[index].time)
            if distance.overflow || !(0...Self.joinNanoseconds).contains(distance.partialValue) { close(stream, body) }
        }
        add(UnsafeRawBufferPointer(rebasing: bytes[start...]), stream, at: time, wasCut: wasCut, body)
    }

    /// The text of a message, which may hold the ends of several lines.
    private mutating func add(
        _ text: UnsafeRawBufferPointer, _ stream: DockerStream, at time: Int64, wasCut: Bool, _ body: (Line) -> Void
    ) {
        let index = stream.rawValue
        var rest = text[...]
        while let base = rest.base.baseAddress, !rest.isEmpty {
            let found = memchr(base + rest.startIndex, 10, rest.count).map { UnsafeRawPointer($0) - base }
            // A message that was cut is a whole line: its end was beyond what is kept.
            guard let end = found ?? (wasCut ? rest.endIndex : nil) else { break }
            let content = UnsafeRawBufferPointer(rebasing: rest[..<end])
            rest = rest[min(end + 1, rest.endIndex)...]
            if parts[index].isOpen {
                extend(index, content)
                if wasCut { parts[index].isCut = true }
                close(stream, body)
            } else {
                let isLong = content.count > lineLimit
                hand(content.prefix(lineLimit), stream, time, isCut: isLong || wasCut, body)
            }
        }
        guard !rest.isEmpty else { return }
        if !parts[index].isOpen {
            parts[index].isOpen = true
            parts[index].time = time
        }
        extend(index, UnsafeRawBufferPointer(rebasing: rest))
    }

    private mutating func extend(_ index: Int, _ bytes: UnsafeRawBufferPointer) {
        let room = max(0, lineLimit - parts[index].bytes.count)
        if bytes.count > room { parts[index].isCut = true }
        parts[index].bytes.append(contentsOf: bytes.prefix(room))
    }

    private mutating func close(_ stream: DockerStream, _ body: (Line) -> Void) {
        let part = parts[stream.rawValue]
        parts[stream.rawValue] = Part()
        part.bytes.withUnsafeBytes { hand($0[...], stream, part.time, isCut: part.isCut, body) }
    }

    private func hand(
        _ bytes: Slice<UnsafeRawBufferPointer>, _ stream: DockerStream, _ time: Int64, isCut: Bool,
        _ body: (Line) -> Void
    ) {
        // Terminals and programs of other systems end lines with a carriage return as well.
        let content = bytes.last == 13 ? bytes.dropLast() : bytes
        body(Line(stream: stream, time: time, bytes: UnsafeRawBufferPointer(rebasing: content), isCut: isCut))
    }

    // MARK: Terminals

    private mutating func pushTerminal(_ piece: UnsafeRawBufferPointer, _ body: (Line) -> Void) {
        var rest = piece[...]
        while let base = piece.baseAddress, !rest.isEmpty {
            let end = memchr(base + rest.startIndex, 10, rest.count).map { UnsafeRawPointer($0) - base }
            let content = UnsafeRawBufferPointer(rebasing: rest[..<(end ?? rest.endIndex)])
            guard let end else {
                hold(content)
                return
            }
            rest = rest[(end + 1)...]
            if message.isEmpty, content.count <= min(Self.partBytes, lineLimit) {
                terminalLine(content, body)
            } else {
                hold(content)
                takeMessage { $0.terminalLine($1, body) }
            }
        }
    }

    /// A line whose parts still have their times in between.
    private mutating func terminalLine(_ bytes: UnsafeRawBufferPointer, _ body: (Line) -> Void) {
        guard let (time, start) = Self.timed(bytes) else {
            if !bytes.isEmpty { untimed += 1 }
            return
        }
        let text = bytes[start...]
        if text.count <= Self.partBytes {
            let isCut = isMessageCut || text.count > lineLimit
            return hand(text.prefix(lineLimit), .stdout, time, isCut: isCut, body)
        }
        let stamp = bytes[..<start]
        var joined: [UInt8] = []
        joined.reserveCapacity(text.count)
        var rest = text
        while !rest.isEmpty {
            joined.append(contentsOf: rest.prefix(Self.partBytes))
            rest = rest.dropFirst(Self.partBytes)
            if rest.starts(with: stamp) { rest = rest.dropFirst(stamp.count) }
        }
        let isCut = isMessageCut || joined.count > lineLimit
        joined.withUnsafeBytes { hand($0.prefix(lineLimit), .stdout, time, isCut: isCut, body) }
    }

    /// The line that follows a terminal's line without an end: one that was left unfinished when the container stopped.
    /// Nothing but a time later than `limit` tells them apart.
    static func following(_ line: Line, after limit: Int64) -> Line? {
        var rest = line.bytes[...]
        while let base = line.bytes.baseAddress, rest.count > stampBytes,
            let mark = memchr(base + rest.startIndex + 10, 84, rest.count - 10).map({ UnsafeRawPointer($0) - base })
        {
            let start = mark - 10
            rest = line.bytes[(start + 1)...]
            let text = UnsafeRawBufferPointer(rebasing: line.bytes[start...])
            if text.count >= stampBytes, let (time, end) = timed(text), end == stampBytes, time > limit {
                var next = line
                next.time = time
                next.bytes = UnsafeRawBufferPointer(rebasing: text[end...])
                return next
            }
        }
        return nil
    }

    /// The time a message begins with and where its text does.
    private static func timed(_ bytes: UnsafeRawBufferPointer) -> (time: Int64, start: Int)? {
        guard let base = bytes.baseAddress, let space = memchr(base, 32, min(bytes.count, timeBytes)) else {
            return nil
        }
        let end = UnsafeRawPointer(space) - base
        guard let time = parseRFC3339(UnsafeRawBufferPointer(rebasing: bytes[..<end])) else { return nil }
        return (time, end + 1)
    }
}
