import AlloySyntax
import Essentials
import Foundation
import TestKit
import Testing

@testable import Runtime

@Suite struct ConfigurationSourceTests {
    private func directory(_ files: [String: [UInt8]]) throws -> String {
        let path = ComponentHarness.makeTemporaryDirectory()
        for (name, bytes) in files {
            let file = URL(fileURLWithPath: path + "/" + name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: file)
        }
        return path
    }

    @Test("A directory is its .alloy files, sorted, without those further down")
    func reading() throws {
        let path = try directory([
            "b.alloy": Array("b".utf8), "a.alloy": Array("a".utf8), "c.txt": [], "d.alloy/e.alloy": Array("e".utf8),
        ])
        defer { try? FileManager.default.removeItem(atPath: path) }
        let source = try ConfigurationSource.read(path)
        #expect(source.files.map(\.name) == [path + "/a.alloy", path + "/b.alloy"])
        #expect(source.modulePath == path)
        // printf ab | sha256sum
        #expect(source.digest == "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603")
        #expect(try ConfigurationSource.read(path + "/a.alloy").modulePath == path)
    }

    @Test("What cannot be read is refused with its path")
    func refusals() throws {
        let path = try directory(["big.alloy": Array(repeating: 0x20, count: 100), "zbad.alloy": [0x61, 0xFF]])
        defer { try? FileManager.default.removeItem(atPath: path) }
        func message(_ name: String, limit: Int = 1000) -> String {
            do {
                _ = try ConfigurationSource.read(path + name, limit: ByteCount(bytes: limit))
                return ""
            } catch { return "\(error)".replacingOccurrences(of: path, with: "") }
        }
        #expect(message("/none.alloy") == "stat /none.alloy: no such file or directory")
        #expect(message("/big.alloy", limit: 99) == "read /big.alloy: larger than 99B")
        #expect(message("", limit: 99).hasPrefix("read /big.alloy: larger than"))
        #expect(message("/zbad.alloy") == "read /zbad.alloy: not valid UTF-8")
    }

    @Test("Byte order marks are understood")
    func byteOrderMarks() throws {
        let path = try directory([
            "8.alloy": [0xEF, 0xBB, 0xBF, 0x61], "le.alloy": [0xFF, 0xFE, 0x61, 0], "be.alloy": [0xFE, 0xFF, 0, 0x61],
            "odd.alloy": [0xFF, 0xFE, 0x61],
        ])
        defer { try? FileManager.default.removeItem(atPath: path) }
        for name in ["8", "le", "be"] {
            #expect(try ConfigurationSource.read(path + "/\(name).alloy").files[0].bytes == [0x61])
        }
        #expect(throws: UnreadableText.self) { try ConfigurationSource.read(path + "/odd.alloy") }
    }
}
