import Testing

@testable import LokiComponents

@Suite("Lines of a container's log")
struct DockerLogParserTests {
    private static let second: Int64 = 1_767_225_601_000_000_000

    private func parse(
        _ bytes: [UInt8], isTerminal: Bool = false, piece: Int = .max, limit: Int? = nil, finishes: Bool = true
    ) throws -> [String] {
        var parser = DockerLogParser(isTerminal: isTerminal)
        if let limit { parser.lineLimit = limit }
        var lines: [String] = []
        func add(_ line: DockerLogParser.Line) {
            let text = String(decoding: line.bytes, as: UTF8.self)
            let shown = text.utf8.count > 100 ? "\(text.prefix(3))*\(text.utf8.count)" : text
            lines.append("\(line.stream.name) \(line.time - Self.second) \(shown)\(line.isCut ? " (cut)" : "")")
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            try rest.prefix(piece).withUnsafeBytes { try parser.push($0) { add($0) } }
            rest = rest.dropFirst(piece)
        }
        if finishes { parser.finish { add($0) } }
        let untimed = parser.takeUntimed()
        if untimed > 0 { lines.append("untimed \(untimed)") }
        return lines
    }

    private func message(_ text: String, _ offset: Int64 = 0, _ stream: DockerStream = .stdout) -> [UInt8] {
        DockerDouble.bytes(.init(stream: stream, time: Self.second + offset, text: text), false)
    }

    private func check(
        _ bytes: [UInt8], isTerminal: Bool = false, _ expected: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for piece in [Int.max, 1, 7, 4096] {
            let lines = try parse(bytes, isTerminal: isTerminal, piece: piece)
            #expect(lines == expected, "pieces of \(piece)", sourceLocation: sourceLocation)
        }
    }

    @Test("Frames of both streams are lines, however the bytes are cut")
    func frames() throws {
        try check(
            message("one\n", 1) + message("two\r\n", 2, .stderr) + message("\n", 3) + message(" x \n", 4),
            ["stdout 1 one", "stderr 2 two", "stdout 3 ", "stdout 4  x "])
    }

    @Test("Parts of a line are joined, each in its stream")
    func parts() throws {
        let full = String(repeating: "a", count: 16 << 10)
        try check(
            message(full, 5) + message("err\n", 6, .stderr) + message(full, 5) + message("end\n", 5),
            ["stderr 6 err", "stdout 5 aaa*32771"])
        // A writer that died in the midst of a line is followed by another one.
        try check(message(full, 5) + message("next\n", 900_000_000), ["stdout 5 aaa*16384", "stdout 900000000 next"])
        try check(message("unfinished", 5), ["stdout 5 unfinished"])
    }

    @Test("A terminal's lines are joined over the times between their parts")
    func terminals() throws {
        let full = String(repeating: "a", count: 16 << 10)
        func raw(_ text: String, _ offset: Int64) -> [UInt8] {
            DockerDouble.bytes(.init(stream: .stdout, time: Self.second + offset, text: text), true)
        }
        try check(
            raw("one\r\n", 1) + raw(full, 2) + raw(full, 2) + raw("end\r\n", 2) + raw(full, 3) + raw("\r\n", 3),
            isTerminal: true, ["stdout 1 one", "stdout 2 aaa*32771", "stdout 3 aaa*16384"])
        try check(raw("unfinished", 1), isTerminal: true, ["stdout 1 unfinished"])
        try check(Array("no time\nx\n".utf8) + raw("y\n", 1), isTerminal: true, ["stdout 1 y", "untimed 2"])
    }

    @Test("What a stopped terminal left unfinished is told from what follows by a later time")
    func following() throws {
        let text = Array("rest2026-01-01T00:00:03.000000000Z next".utf8)
        text.withUnsafeBytes { bytes in
            let line = DockerLogParser.Line(stream: .stdout, time: Self.second, bytes: bytes, isCut: false)
            let next = DockerLogParser.following(line, after: Self.second)
            #expect(next.map { String(decoding: $0.bytes, as: UTF8.self) } == "next")
            #expect(next?.time == Self.second + 2_000_000_000)
            #expect(DockerLogParser.following(line, after: Self.second + 2_000_000_000) == nil)
        }
    }

    @Test("Long lines are cut, whether they come in one frame or in parts")
    func cutting() throws {
        let long = String(repeating: "b", count: 500)
        #expect(
            try parse(message(long + "\n", 1) + message("c\n", 2), limit: 200) == [
                "stdout 1 bbb*200 (cut)", "stdout 2 c",
            ])
        #expect(
            try parse(message(long + "\n", 1) + message("c\n", 2), piece: 10, limit: 200)
                == ["stdout 1 bbb*200 (cut)", "stdout 2 c"])
        #expect(
            try parse(message(long, 1) + message(long + "\n", 1) + message("c\n", 2), limit: 700)
                == ["stdout 1 bbb*700 (cut)", "stdout 2 c"])
        var parser = DockerLogParser(isTerminal: true)
        try Array(repeating: UInt8(ascii: "x"), count: 3 << 20).withUnsafeBytes { try parser.push($0) { _ in } }
        #expect(parser.heldBytes <= (1 << 20) + 64)
    }

    @Test("Messages without a time are counted, and what is no stream ends the reading")
    func nonsense() throws {
        #expect(try parse(DockerDouble.frame(1, "no time\n") + message("x\n")) == ["stdout 0 x", "untimed 1"])
        #expect(throws: DockerLogError.malformed) { try parse(Array("HTTP/1.1".utf8)) }
        #expect(throws: DockerLogError.daemon("it broke")) { try parse(DockerDouble.frame(3, "it broke\n")) }
        #expect(try parse([1, 0, 0, 0, 255, 255, 255, 255, 1, 2, 3]) == [])
    }
}
