import Compression
import Essentials
import LokiComponents
import TextFormats
import Wire

/// Readers of log lines and of what carries them.
enum LogTargets {
    static let all: [FuzzTarget] = [syslogMessages, syslogStream, dockerLog, logfmt, lz4]

    // MARK: syslog

    private static let messages = [
        "<165>1 2003-10-11T22:14:15.003Z host app 12 ID47 [a@1 k=\"v\\\"\\]\" l=\"\"][b] \u{FEFF}text",
        "<34>Oct 11 22:14:15 host su[12]: 'su root' failed",
        "<189>27: 000028: host: *Mar  1 18:46:11.123 UTC: %SYS-5-CONFIG_I: configured", "<1>1 - - - - - -",
    ]

    private static let syslogMessages = FuzzTarget(
        name: "syslog-message", seeds: messages.map { [0] + bytes($0) },
        dictionary: ["<0>", "<191>", "[x@1 y=\"", "\"]", "Feb 29 23:59:60", "2024-02-30T24:00:00-00:00", "%A-1-B: "]
    ) { input in
        guard let choice = input.first else { return 0 }
        let cisco = SyslogParser.CiscoComponents(
            hasCounter: choice & 8 != 0, hasSequence: choice & 16 != 0, hasHostName: choice & 32 != 0,
            hasFractions: choice & 64 != 0)
        let formats: [SyslogParser.Format] = [.rfc5424, .rfc3164, .raw, .rfc3164]
        let format = formats[Int(choice & 3)]
        let parser = SyslogParser(format, cisco: choice & 4 != 0 ? cisco : nil)
        let message = try input.dropFirst().withUnsafeBytes { try parser.parse($0) }
        let time = message.timestamp(near: 1_700_000_000_000_000_000)
        return Int(choice & 7) << 8 | (time == nil ? 0 : 128) | magnitude("\(message)".utf8.count)
    }

    /// A connection cut into pieces anywhere yields the messages of one read at once.
    private static let syslogStream = FuzzTarget(
        name: "syslog-stream",
        seeds: [
            [0] + bytes(messages.joined(separator: "\n")),
            [3] + bytes(messages.map { "\($0.utf8.count) \($0)" }.joined()),
        ],
        dictionary: ["\n", "12 <1>", "99999999999999999999 ", "<1>"]
    ) { input in
        guard let choice = input.first else { return 0 }
        let stream = Array(input.dropFirst())
        let whole = frames(stream, piece: .max, isRaw: choice & 1 != 0)
        let parts = frames(stream, piece: 1 + Int(choice >> 1) % 13, isRaw: choice & 1 != 0)
        try require(whole == parts, "\(whole.messages.count) messages at once, \(parts.messages.count) in pieces")
        return magnitude(whole.messages.count) << 1 | (whole.isBroken ? 1 : 0)
    }

    private struct Frames: Equatable {
        var messages: [[UInt8]] = []
        var isBroken = false
    }

    private static func frames(_ stream: [UInt8], piece: Int, isRaw: Bool) -> Frames {
        var framer = SyslogFramer(maximumLength: 1024, isRaw: isRaw)
        var found = Frames()
        var offset = 0
        do {
            while offset < stream.count {
                let end = piece == .max ? stream.count : min(offset + piece, stream.count)
                stream[offset..<end].withUnsafeBytes { framer.append($0) }
                offset = end
                while try framer.next({ found.messages.append(Array($0)) }) {}
            }
            while try framer.next(isLast: true, { found.messages.append(Array($0)) }) {}
        } catch {
            found.isBroken = true
        }
        return found
    }

    // MARK: Docker

    /// A log cut into pieces anywhere yields the lines of one read at once.
    private static let dockerLog = FuzzTarget(
        name: "docker-log",
        seeds: [
            [0] + dockerFrame(1, "2026-01-01T00:00:01.000000001Z out\n") + dockerFrame(2, "2026-01-01T00:00:01Z half")
                + dockerFrame(2, "2026-01-01T00:00:01Z end\r\n"),
            [1] + bytes("2026-01-01T00:00:01.000000001Z line\r\n2026-01-01T00:00:02.000000001Z unfinished"),
            [2] + dockerFrame(1, "2026-01-01T00:00:01Z " + String(repeating: "x", count: 200) + "\n"),
        ],
        dictionary: ["2026-01-01T00:00:01.000000001Z ", "\n", "\u{1}\0\0\0\0\0\0 "]
    ) { input in
        guard let choice = input.first else { return 0 }
        let stream = Array(input.dropFirst())
        let whole = dockerLines(stream, piece: .max, choice)
        let parts = dockerLines(stream, piece: 1 + Int(choice >> 2) % 13, choice)
        try require(whole == parts, "\(whole.count) lines at once, \(parts.count) in pieces")
        return magnitude(whole.count) << 2 | Int(choice & 3)
    }

    private static func dockerFrame(_ kind: UInt8, _ text: String) -> [UInt8] {
        [kind, 0, 0, 0, 0, 0, UInt8(text.utf8.count >> 8), UInt8(text.utf8.count & 255)] + bytes(text)
    }

    private static func dockerLines(_ stream: [UInt8], piece: Int, _ choice: UInt8) -> [[UInt8]] {
        var parser = DockerLogParser(isTerminal: choice & 1 != 0)
        if choice & 2 != 0 { parser.lineLimit = 100 }
        var lines: [[UInt8]] = []
        func add(_ line: DockerLogParser.Line) {
            lines.append([UInt8(line.stream.rawValue), line.isCut ? 1 : 0] + bytes("\(line.time) ") + line.bytes)
        }
        var offset = 0
        do {
            while offset < stream.count {
                let end = piece == .max ? stream.count : min(offset + piece, stream.count)
                try stream[offset..<end].withUnsafeBytes { try parser.push($0) { add($0) } }
                offset = end
            }
            parser.finish { add($0) }
        } catch {
            lines.append(bytes("\(error)"))
        }
        return lines
    }

    // MARK: logfmt

    private static let logfmt = FuzzTarget(
        name: "logfmt", seeds: [bytes(#"a=1 b="x \"y\" \u00e9" c= d e=f"#), []],
        dictionary: ["=\"", "\\u", "\\ud83d\\ude00", " \u{FFFD}=", "==", "\n"]
    ) { input in
        try input.withUnsafeBytes { line in
            var reader = LogfmtReader()
            var end = 0
            var pairs = 0
            while let pair = reader.next(line) {
                try require(pair.key.lowerBound >= end && !pair.key.isEmpty, "a key that goes back or has no letters")
                try require(pair.value.upperBound <= line.count, "a value beyond the end")
                end = pair.value.upperBound
                pairs += 1
                if pair.hasEscapes {
                    _ = LogfmtReader.unquote(UnsafeRawBufferPointer(rebasing: line[pair.value]))
                }
            }
            return magnitude(pairs) << 1 | (reader.isBroken ? 1 : 0)
        }
    }

    // MARK: LZ4

    /// A frame of a stored block, then one of a literal and a match that overlaps itself.
    private static let lz4 = FuzzTarget(
        name: "lz4",
        seeds: [
            frame([5, 0, 0, 0x80] + bytes("plain")), frame([4, 0, 0, 0, 0x1F, 0x61, 1, 0]),
            [0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 1, 2] + frame([1, 0, 0, 0x80, 0x62]),
        ]
    ) { input in
        let limit = 64 << 10
        let output = try LZ4.decompressFrames(input, limit: limit)
        try require(output.count <= limit, "more than the limit")
        return magnitude(output.count)
    }

    /// A frame without checksums of its content around one block.
    private static func frame(_ block: [UInt8]) -> [UInt8] {
        [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82] + block + [0, 0, 0, 0]
    }
}
