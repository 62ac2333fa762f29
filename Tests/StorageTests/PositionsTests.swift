import Essentials
import Foundation
import Testing

@testable import Storage

@Suite("Positions")
struct PositionsTests {
    private func withDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
        let directory = NSTemporaryDirectory() + "/positions-\(UUID().uuidString)"
        try Files.makeDirectory(directory)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        return try await body(directory)
    }

    @Test(
        "Files that Alloy may have written are read",
        arguments: [
            ("", []),
            ("positions:\n", []),
            ("positions: {}\n", []),
            (
                "---\npositions:\n  ? path: /tmp/a.log\n    labels: '{job=\"tmp\"}'\n  : \"17623\"\n",
                [("/tmp/a.log", "{job=\"tmp\"}", "17623")]
            ),
            (
                "other: x\npositions:\n  ? path: /a\n    labels: ''\n  : \"1\"\n  ? path: /b\n    labels: '{}'\n  : 2\n  ? path: /c\n  : \"3\"\n",
                [("/a", "", "1"), ("/b", "{}", "2"), ("/c", "", "3")]
            ),
            (
                "positions:\n    ? path: /a b\n      labels: '{a=\"it''s\",\n        b=\"c\"}'\n    : \"5\"\n",
                [("/a b", "{a=\"it's\", b=\"c\"}", "5")]
            ),
            (
                "positions:\n  ? path: /long name that\n      goes on\n    labels: \"{a=\\\"\\u00e9\\\\\\\n      \\ x\\\"}\"\n  : \"5\"\n",
                [("/long name that goes on", "{a=\"é\\ x\"}", "5")]
            ),
            (
                "positions:\n  {path: /a, labels: '{}'}: \"7\" # seven\n  ? {path: /b, labels: \"{}\"}\n  : '8'\n",
                [("/a", "{}", "7"), ("/b", "{}", "8")]
            ),
            ("\u{FEFF}# note\npositions:\r\n  ? labels: '{}'\r\n    path: /a\r\n  : \"7\"\r\n", [("/a", "{}", "7")]),
            (
                "positions:\n  ? path: cursor-x\n    labels: '{}'\n  : s=abc;i=1f;b=2;t=3\n",
                [("cursor-x", "{}", "s=abc;i=1f;b=2;t=3")]
            ),
        ] as [(String, [(String, String, String)])])
    func parsed(_ text: String, _ expected: [(String, String, String)]) throws {
        var wanted: [PositionKey: String] = [:]
        for (path, labels, position) in expected { wanted[PositionKey(path: path, labels: labels)] = position }
        #expect(try PositionsText.parse(Array(text.utf8)) == wanted)
    }

    @Test("Fingerprints stand beside Alloy's file, go with their positions, and damage to them is survived")
    func fingerprints() async throws {
        try await withDirectory { directory in
            let path = directory + "/positions.yml"
            let (one, two) = (PositionKey(path: "/a \"b\"", labels: "{}"), PositionKey(path: "/c", labels: "{x=\"y\"}"))
            let fingerprint = FileFingerprint(
                device: .max, inode: 1 << 63, headBytes: 5, headHash: FileFingerprint.hash([1, 2, 3]), position: 17)
            var positions = try Positions(path: path)
            positions.set(one, to: 17, fingerprint)
            positions.set(two, to: 9)
            try positions.save()
            let text = String(decoding: try Files.read(path), as: UTF8.self)
            #expect(text.contains("\"17\"") && !text.contains("inode"))
            positions = try Positions(path: path)
            #expect(positions.fingerprints == [one: fingerprint] && positions.fingerprintProblem == nil)
            #expect(try positions.offset(of: one) == 17 && positions.offset(of: two) == 9)
            positions.remove(one)
            try positions.save()
            #expect(try Positions(path: path).fingerprints.isEmpty)
            // Somebody else, Alloy for one, has dropped a position.
            positions.set(one, to: 17, fingerprint)
            try positions.save()
            try Files.replace(path, with: Array("positions: {}\n".utf8))
            #expect(try Positions(path: path).fingerprints.isEmpty)
            try Files.replace(path + ".fingerprints", with: Array("{\"files\": [".utf8))
            let damaged = try Positions(path: path)
            #expect(damaged.fingerprints.isEmpty && damaged.fingerprintProblem != nil)
            let odd = #"{"files": [{"path": "/a", "labels": "{}", "inode": -1}, 7, {"head_bytes": 99999999}]}"#
            try Files.replace(path + ".fingerprints", with: Array(odd.utf8))
            let strange = try Positions(path: path)
            #expect(strange.fingerprints.isEmpty && strange.fingerprintProblem == nil)
        }
    }

    @Test(
        "Files that are no positions are refused with the line",
        arguments: [
            (
                "positions:\n  ? path: /a\n    labels: '{}'\n  : \"176\n",
                "yaml: line 5: found unexpected end of stream in a quoted scalar"
            ),
            ("positions:\n  /a: \"1\"\n", "cannot unmarshal !!str `/a` into a position's path and labels"),
            ("positions: 5\n", "positions is no mapping"),
            ("5\n", "expected a mapping with the member `positions`"),
            ("positions:\n  - a\n", "yaml: line 2: unsupported content"),
            ("positions:\n  ? path: /a\n  : !!binary x\n", "yaml: line 3: unsupported content"),
            ("positions:\n  a\n   b: c\n", "yaml: line 3: bad indentation of a mapping entry"),
        ])
    func refused(_ text: String, _ message: String) {
        #expect(throws: PositionsError(message)) { try PositionsText.parse(Array(text.utf8)) }
    }

    @Test("Deep nesting and damaged files never trap")
    func hostile() {
        let deep = Array(("positions: " + String(repeating: "{a: ", count: 100_000)).utf8)
        #expect(throws: PositionsError.self) { try PositionsText.parse(deep) }
        let keys = Array(String(repeating: "? ", count: 100_000).utf8)
        #expect(throws: PositionsError.self) { try PositionsText.parse(keys) }
        let good = Array("positions:\n  ? path: /a\n    labels: '{a=\"b\"}'\n  : \"1\\u00e9\"\n  {path: x}: y\n".utf8)
        var accepted = 0
        for _ in 0..<5000 {
            var bytes = good
            for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count)] = .random(in: 0...127) }
            if Bool.random() { bytes.removeLast(Int.random(in: 0..<bytes.count)) }
            if (try? PositionsText.parse(bytes)) != nil { accepted += 1 }
        }
        #expect(accepted < 5000)
    }

    @Test("What is written is what Alloy writes, and reads back")
    func written() throws {
        let simple = [
            PositionKey(path: "/tmp/random.log", labels: "{job=\"tmp\"}"): "17623",
            PositionKey(path: "/tmp/a.log", labels: "{}"): "5",
        ]
        let expected = """
            positions:
              ? path: /tmp/a.log
                labels: '{}'
              : "5"
              ? path: /tmp/random.log
                labels: '{job="tmp"}'
              : "17623"

            """
        #expect(String(decoding: PositionsText.text(simple), as: UTF8.self) == expected)
        let odd: [PositionKey: String] = [
            PositionKey(path: "/it's: #1 é", labels: "{a=\"\\n\", b=\"é😀\"}"): "-3",
            PositionKey(path: "line\nbreak\t\u{1}", labels: ""): "text: with # all",
            PositionKey(path: "C:\\logs", labels: "null"): "",
            PositionKey(path: "{a: b}", labels: "- x"): "~",
        ]
        #expect(try PositionsText.parse(PositionsText.text(odd)) == odd)
        #expect(try PositionsText.parse(PositionsText.text([:])) == [:])
    }

    @Test("Positions survive a save, and an unchanged state writes nothing")
    func saving() async throws {
        try await withDirectory { directory in
            let path = directory + "/positions.yml"
            let key = PositionKey(path: "/var/log/x", labels: "{}")
            let positions = try Positions(path: path)
            #expect(try positions.offset(of: key) == nil)
            positions.set(key, to: 42)
            try positions.save()
            #expect(try Positions(path: path).offset(of: key) == 42)
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            let inode = attributes[.systemFileNumber] as? Int
            positions.set(key, to: 42)
            try positions.save()
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int == inode)
            positions.remove(key)
            try positions.save()
            #expect(try Positions(path: path).count == 0)
            positions[key] = "not a number"
            #expect(throws: PositionsError.self) { try positions.offset(of: key) }
        }
    }

    @Test("Positions of files that are gone are forgotten, cursors are kept")
    func cleanup() async throws {
        try await withDirectory { directory in
            let positions = try Positions(path: directory + "/positions.yml")
            let file = directory + "/file"
            try Files.replace(file, with: [])
            positions.set(PositionKey(path: file, labels: "{}"), to: 1)
            positions.set(PositionKey(path: directory + "/gone", labels: "{}"), to: 1)
            positions[.cursor("journal")] = "abc"
            positions.removeMissingFiles()
            #expect(Set(positions.all.keys.map(\.path)) == [file, "cursor-journal"])
        }
    }

    @Test("An invalid file is an error that names it")
    func invalidFile() async throws {
        try await withDirectory { directory in
            let path = directory + "/positions.yml"
            try Files.replace(path, with: Array("positions: [".utf8))
            do {
                _ = try Positions(path: path)
                Issue.record("accepted")
            } catch {
                #expect("\(error)".hasPrefix("invalid yaml positions file [\(path)]: "))
            }
        }
    }

    @Test("promtail's file is converted once, and only when it is one")
    func legacy() async throws {
        try await withDirectory { directory in
            let old = directory + "/old.yml"
            let new = directory + "/new.yml"
            #expect(try Positions.convertLegacy(old, to: new) == .absent)
            try Files.replace(old, with: [])
            #expect(try Positions.convertLegacy(old, to: new) == .absent)
            try Files.replace(old, with: Array("positions: {\n".utf8))
            guard case .invalid = try Positions.convertLegacy(old, to: new) else {
                Issue.record("not invalid")
                return
            }
            try Files.replace(old, with: Array("positions:\n  /a b.log: \"12\"\n  /c: 13\nextra: 1\n".utf8))
            #expect(try Positions.convertLegacy(old, to: new) == .invalid("field extra not found"))
            try Files.replace(old, with: Array("positions:\n  /a b.log: \"12\"\n  ? /c\n  : 13\n".utf8))
            #expect(try Positions.convertLegacy(old, to: new) == .converted(2))
            let positions = try Positions(path: new)
            #expect(try positions.offset(of: PositionKey(path: "/a b.log", labels: "{}")) == 12)
            #expect(try positions.offset(of: PositionKey(path: "/c", labels: "{}")) == 13)
            #expect(try Positions.convertLegacy(old, to: new) == .superseded)
            #expect(throws: SystemError.self) { try Positions.convertLegacy(directory, to: new) }
        }
    }

    @Test("The file is written on the interval and the loop ends when cancelled")
    func regularly() async throws {
        try await withDirectory { directory in
            let clock = EngineClock.manual()
            let positions = try Positions(path: directory + "/positions.yml")
            let key = PositionKey(path: "cursor-x", labels: "{}")
            positions.set(key, to: 9)
            let pool = BlockingPool(name: "test", threads: 1)
            let task = Task {
                await positions.saveRegularly(clock: clock, on: pool, log: .silent)
            }
            while clock.nextDeadline == nil { await Task.yield() }
            clock.advance(by: .seconds(9))
            #expect(!Files.exists(positions.path))
            clock.advance(by: .seconds(1))
            while clock.nextDeadline == nil { await Task.yield() }
            #expect(try Positions(path: positions.path).offset(of: key) == 9)
            task.cancel()
            await task.value
        }
    }
}
