import Compression
import Essentials
import Glibc
import Synchronization

/// A place that takes Loki's push requests over HTTP/1.1 and checks every line by value.
///
/// Each line is made again from the numbers in it and compared, with its labels and its time; numbers seen before and
/// numbers never seen are what is duplicated and lost.
final class PushSink: Sendable {
    struct Result: Sendable {
        var distinct = 0
        var duplicated = 0
        var corrupt = 0
        var requests = 0
        /// Bytes of requests, compressed.
        var bytes = 0
        /// Nanoseconds between a line's time and its arrival.
        var latencies: [Int64] = []
    }

    private struct State: Sendable {
        var result = Result()
        /// By file, a bit for every number.
        var seen: [[UInt64]] = []
    }

    let port: UInt16
    private let listener: CInt
    private let files: LogFiles
    private let linesPerFile: Int
    private let measuresLatency: Bool
    private let state = Mutex(State())

    /// Listens on a free port of the loopback.
    init(_ files: LogFiles, linesPerFile: Int, measuresLatency: Bool) throws {
        self.files = files
        self.linesPerFile = linesPerFile
        self.measuresLatency = measuresLatency
        let (listener, port) = try Self.listen()
        self.listener = listener
        self.port = port
        let words = (linesPerFile + 63) / 64
        state.withLock { $0.seen = Array(repeating: Array(repeating: 0, count: words), count: files.count) }
    }

    static func listen() throws -> (descriptor: CInt, port: UInt16) {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && Glibc.listen(descriptor, 64) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard isBound else { throw BenchmarkError("cannot listen") }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    var result: Result { state.withLock { $0.result } }
    var distinct: Int { state.withLock { $0.result.distinct } }

    func start() {
        DetachedThread(name: "sink") { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                DetachedThread(name: "connection") { [self] in
                    serve(connection)
                    close(connection)
                }.start()
            }
        }.start()
    }

    func stop() {
        shutdown(listener, CInt(SHUT_RDWR))
        close(listener)
    }

    // MARK: HTTP

    private func serve(_ connection: CInt) {
        var input: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        var decoded: [UInt8] = []
        while true {
            var head: Int?
            while head == nil {
                head = Self.headEnd(input)
                if head == nil, !Self.receive(connection, &chunk, &input) { return }
            }
            guard let head, let length = Self.contentLength(input[..<head]) else { return }
            while input.count < head + length {
                if !Self.receive(connection, &chunk, &input) { return }
            }
            decoded.removeAll(keepingCapacity: true)
            let isRead: Bool = input.withUnsafeBytes { bytes in
                let body = UnsafeRawBufferPointer(rebasing: bytes[head..<head + length])
                do {
                    try Snappy.decompress(body, limit: 256 << 20, into: &decoded)
                } catch {
                    return false
                }
                return decoded.withUnsafeBytes { check($0, compressed: length) }
            }
            input.removeFirst(head + length)
            let answer =
                isRead
                ? "HTTP/1.1 204 No Content\r\n\r\n"
                : "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
            let sent = Array(answer.utf8).withUnsafeBytes {
                send(connection, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return }
        }
    }

    private static func receive(_ connection: CInt, _ chunk: inout [UInt8], _ input: inout [UInt8]) -> Bool {
        let count = recv(connection, &chunk, chunk.count, 0)
        guard count > 0 else { return false }
        input.append(contentsOf: chunk[..<count])
        return true
    }

    private static func headEnd(_ input: [UInt8]) -> Int? {
        var index = 3
        while index < input.count {
            if input[index] == 0x0A, input[index - 1] == 0x0D, input[index - 2] == 0x0A { return index + 1 }
            index += 1
        }
        return nil
    }

    private static func contentLength(_ head: ArraySlice<UInt8>) -> Int? {
        for line in String(decoding: head, as: UTF8.self).split(separator: "\r\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "content-length" {
                return Int(parts[1].filter { $0 != " " })
            }
        }
        return nil
    }

    // MARK: Checking

    /// Walks a `logproto.PushRequest`; false when it is none.
    private func check(_ request: UnsafeRawBufferPointer, compressed: Int) -> Bool {
        let arrival = Clocks.wall()
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: LogLine.room, alignment: 16)
        defer { scratch.deallocate() }
        return state.withLock { state in
            state.result.requests += 1
            state.result.bytes += compressed
            var fields = ProtobufFields(request)
            while let field = fields.next() {
                guard field.number == 1 else { continue }
                if !check(stream: field.bytes, arrival, scratch, &state) { return false }
            }
            return !fields.isBroken
        }
    }

    private func check(
        stream: UnsafeRawBufferPointer, _ arrival: Int64, _ scratch: UnsafeMutableRawPointer, _ state: inout State
    ) -> Bool {
        var labels = UnsafeRawBufferPointer(start: nil, count: 0)
        var expected: (file: Int, parity: Int, level: Int, isRight: Bool) = (-1, -1, -1, false)
        var fields = ProtobufFields(stream)
        while let field = fields.next() {
            if field.number == 1 { labels = field.bytes }
            guard field.number == 2 else { continue }
            guard let entry = Entry(field.bytes) else { return false }
            guard let (file, sequence, timestamp) = LogLine.fields(of: entry.line), file < files.count,
                sequence < linesPerFile
            else {
                state.result.corrupt += 1
                continue
            }
            let level = sequence % LogLine.levels.count
            if expected.file != file || expected.parity != sequence % 2 || expected.level != level {
                let text =
                    "{filename=\"\(files.path(file))\", job=\"bench\", level=\"\(LogLine.levels[level])\", stream=\"\(sequence % 2 == 0 ? "stdout" : "stderr")\"}"
                expected = (file, sequence % 2, level, labels.elementsEqual(text.utf8))
            }
            let length = LogLine.writeContent(scratch, file: file, sequence: sequence, timestamp: timestamp)
            guard expected.isRight, entry.timestamp == timestamp, length == entry.line.count,
                let base = entry.line.baseAddress, memcmp(base, scratch, length) == 0
            else {
                state.result.corrupt += 1
                continue
            }
            let bit: UInt64 = 1 << UInt64(sequence % 64)
            if state.seen[file][sequence / 64] & bit != 0 {
                state.result.duplicated += 1
            } else {
                state.seen[file][sequence / 64] |= bit
                state.result.distinct += 1
                if measuresLatency { state.result.latencies.append(arrival - timestamp) }
            }
        }
        return !fields.isBroken
    }
}

/// One entry of a stream: `google.protobuf.Timestamp` (1) and line (2).
private struct Entry {
    var timestamp: Int64 = 0
    var line = UnsafeRawBufferPointer(start: nil, count: 0)

    init?(_ bytes: UnsafeRawBufferPointer) {
        var fields = ProtobufFields(bytes)
        while let field = fields.next() {
            if field.number == 2 { line = field.bytes }
            if field.number == 1 {
                var parts = ProtobufFields(field.bytes)
                while let part = parts.next() {
                    if part.number == 1 { timestamp += Int64(part.value) * 1_000_000_000 }
                    if part.number == 2 { timestamp += Int64(part.value) }
                }
                if parts.isBroken { return nil }
            }
        }
        if fields.isBroken { return nil }
    }
}

/// The fields of a protobuf message that has varints and byte strings only.
private struct ProtobufFields {
    struct Field {
        var number: Int
        var value: Int = 0
        var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    private(set) var isBroken = false

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func next() -> Field? {
        guard index < bytes.count, let tag = varint() else { return nil }
        guard let value = varint() else { return nil }
        if tag & 7 == 0 { return Field(number: tag >> 3, value: value) }
        guard tag & 7 == 2, value >= 0, value <= bytes.count - index else {
            isBroken = true
            return nil
        }
        defer { index += value }
        return Field(number: tag >> 3, bytes: UnsafeRawBufferPointer(rebasing: bytes[index..<index + value]))
    }

    private mutating func varint() -> Int? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while index < bytes.count, shift < 64 {
            let byte = bytes[index]
            index += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int(truncatingIfNeeded: value) }
            shift += 7
        }
        isBroken = true
        return nil
    }
}
