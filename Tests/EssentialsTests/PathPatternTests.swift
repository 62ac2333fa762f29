import Essentials
import Foundation
import Testing

@Suite("Path patterns")
struct PathPatternTests {
    @Test(
        "Paths match as doublestar says",
        arguments: [
            ("/var/log/*.log", "/var/log/a.log", true), ("/var/log/*.log", "/var/log/x/a.log", false),
            ("/var/log/*.log", "/var/log/.log", true), ("/var/**/*.log", "/var/a.log", true),
            ("/var/**/*.log", "/var/x/y/a.log", true), ("/var/**", "/var/x/y", true), ("/var/**", "/var", true),
            ("/var/**", "/varx", false), ("/**/a", "/a", true), ("/a**b", "/axb", true), ("/a**b", "/ax/b", false),
            ("/a?c", "/abc", true), ("/a?c", "/a/c", false), ("/a?c", "/aéc", true),
            ("/[a-c]x", "/bx", true), ("/[!a-c]x", "/bx", false), ("/[^a-c]x", "/dx", true), ("/[]x", "/]x", false),
            ("/{a,b/c}/d", "/b/c/d", true), ("/{a,b}{1,2}", "/b2", true), ("/{a,b}{1,2}", "/c1", false),
            ("/{a,{b,c}d}", "/cd", true), ("/x{,.gz}", "/x.gz", true), ("/x{,.gz}", "/x", true),
            ("/a\\*b", "/a*b", true), ("/a\\*b", "/axb", false), ("/a/./b//c", "/a/b/c", true),
            ("rel/*", "rel/x", true), ("rel/*", "/rel/x", false), ("/a*b*c", "/aXbYbc", true),
            ("/a*b*c", "/aXbYcd", false), ("/**/x/**/y", "/1/x/2/x/3/y", true), ("/**/x/**/y", "/1/2/y", false),
        ])
    func matching(_ pattern: String, _ path: String, _ expected: Bool) throws {
        if pattern == "/[]x" {
            #expect(throws: PathPattern.Invalid.self) { try PathPattern(pattern) }
            return
        }
        #expect(try PathPattern(pattern).matches(path) == expected)
    }

    @Test("Patterns that are not closed are refused", arguments: ["/[a", "/{a", "/a\\", "/[a-", "/[z-a]"])
    func invalid(_ pattern: String) {
        #expect(throws: PathPattern.Invalid.self) { try PathPattern(pattern) }
    }

    @Test("Alternatives beyond reason are refused")
    func tooMany() {
        #expect(throws: PathPattern.Invalid.self) { try PathPattern(String(repeating: "{a,b}", count: 20)) }
    }

    @Test("Existing paths are found, also through links that lead back")
    func walking() throws {
        let root = NSTemporaryDirectory() + "patterns-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        for directory in ["a/b/c", "a/d", ".hidden"] { try Files.makeDirectory(root + "/" + directory) }
        for file in ["a/1.log", "a/b/2.log", "a/b/c/3.log", "a/d/4.txt", ".hidden/5.log"] {
            try Files.replace(root + "/" + file, with: [])
        }
        symlink(root + "/a", root + "/a/b/back")
        func found(_ pattern: String) throws -> [String] {
            try PathPattern(root + pattern).paths().map { String($0.dropFirst(root.utf8.count)) }
        }
        #expect(try found("/a/*.log") == ["/a/1.log"])
        #expect(try found("/a/1.log") == ["/a/1.log"])
        #expect(try found("/a/9.log") == [])
        #expect(try found("/*/*.log") == ["/.hidden/5.log", "/a/1.log"])
        #expect(try found("/a/*/{2.log,4.txt}") == ["/a/b/2.log", "/a/d/4.txt"])
        let deep = try found("/**/*.log")
        #expect(Set(deep).isSuperset(of: ["/a/1.log", "/a/b/2.log", "/a/b/c/3.log", "/.hidden/5.log"]))
        #expect(deep.count < 12)
        #expect(try PathPattern(root + "/**").paths(limit: 3).count == 3)
    }
}
