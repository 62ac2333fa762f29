import Essentials
import Foundation
import Testing

@Suite("Glob")
struct GlobTests {
    @Test(
        "A path matches as the doublestar library decides",
        arguments: [
            ("/var/log/*.log", "/var/log/a.log", true), ("/var/log/*.log", "/var/log/x/a.log", false),
            ("/var/**/a.log", "/var/a.log", true), ("/var/**/a.log", "/var/x/y/a.log", true),
            ("/var/**", "/var", true), ("/var/**", "/var/x/y", true), ("/var/**", "/varx", false),
            ("**", "/any/thing", true), ("a/**b", "a/xb", true), ("a/**b", "a/x/b", false),
            ("/a?c", "/abc", true), ("/a?c", "/a\u{E9}c", true), ("/a?c", "/a/c", false),
            ("/[a-c]x", "/bx", true), ("/[!a-c]x", "/bx", false), ("/[^a-c]x", "/zx", true),
            ("/{a,b{c,d}}.log", "/bd.log", true), ("/{a,b{c,d}}.log", "/b.log", false), ("/{a/b,c}/d", "/a/b/d", true),
            ("/{,x}a", "/a", true), ("/a\\*", "/a*", true), ("/a\\*", "/ab", false), ("/a}", "/a}", true),
            ("*a*b*c", "xxaxxbxxc", true), ("*a*b*c", "xxaxxbxx", false), ("/[\u{E0}-\u{EF}]", "/\u{E9}", true),
            ("/*", "/.hidden", true), ("a/./b", "a/b", true), ("", "", true), ("/", "/", true), ("/", "/a", false),
        ])
    func matching(pattern: String, path: String, expected: Bool) throws {
        #expect(try Glob(pattern).matches(path) == expected)
    }

    @Test("The plain dialect knows neither groups nor **")
    func plain() throws {
        #expect(try Glob("/a/**/c", .plain).matches("/a/b/c"))
        #expect(try !Glob("/a/**/c", .plain).matches("/a/b/b/c"))
        #expect(try Glob("/{a,b}", .plain).matches("/{a,b}"))
        #expect(try Glob("/[!a]", .plain).matches("/!"))
    }

    @Test(
        "A pattern that cannot be read is refused",
        arguments: [
            "[a", "[]", "[a-]", "[-a]", "{a", "a\\", "/[a/b]", String(repeating: "{a,b}", count: 11),
            String(repeating: "../", count: 1000),
        ])
    func refusals(pattern: String) {
        #expect(throws: GlobError.self) { try Glob(pattern) }
    }

    @Test("A pattern that invites backtracking ends at once")
    func hostile() throws {
        let stars = String(repeating: "*a", count: 200) + "b"
        #expect(try !Glob(stars).matches(String(repeating: "a", count: 10_000)))
        let deep = String(repeating: "**/a/", count: 100) + "b"
        #expect(try !Glob(deep).matches(String(repeating: "a/", count: 500)))
    }

    @Test("Expansion finds files through directories and links, sorted and once")
    func expansion() throws {
        let root = NSTemporaryDirectory() + "glob-\(UUID().uuidString)"
        let files = FileManager.default
        defer { try? files.removeItem(atPath: root) }
        for directory in ["a/b/c", "a/d", "other"] {
            try files.createDirectory(atPath: "\(root)/\(directory)", withIntermediateDirectories: true)
        }
        for file in ["a/1.log", "a/b/2.log", "a/b/c/3.log", "a/d/4.txt", "other/5.log", "a/.6.log"] {
            #expect(files.createFile(atPath: "\(root)/\(file)", contents: nil))
        }
        try files.createSymbolicLink(atPath: "\(root)/a/loop", withDestinationPath: root + "/a")
        try files.createSymbolicLink(atPath: "\(root)/a/linked", withDestinationPath: root + "/other")
        try files.createSymbolicLink(atPath: "\(root)/a/dangling.log", withDestinationPath: root + "/nowhere")
        func find(_ pattern: String, filesOnly: Bool = true) throws -> [String] {
            try Glob(root + "/" + pattern).expand(filesOnly: filesOnly).paths.map {
                String($0.dropFirst(root.count + 1))
            }
        }
        #expect(try find("a/*.log") == ["a/.6.log", "a/1.log", "a/dangling.log"])
        #expect(
            try find("a/**/*.log")
                == ["a/.6.log", "a/1.log", "a/b/2.log", "a/b/c/3.log", "a/dangling.log", "a/linked/5.log"])
        #expect(try find("{a,a/b}/**/{2,3}.log") == ["a/b/2.log", "a/b/c/3.log"])
        #expect(try find("*/d/*") == ["a/d/4.txt"])
        #expect(try find("a/1.log") == ["a/1.log"])
        #expect(try find("a/none.log") == [])
        #expect(try find("other/../a/./1.log") == ["a/1.log"])
        #expect(try find("a/b/**", filesOnly: false) == ["a/b", "a/b/2.log", "a/b/c", "a/b/c/3.log"])
        let limited = try Glob(root + "/**").expand(limits: Glob.Limits(matches: 3))
        #expect(limited.paths.count == 3 && limited.isTruncated)
    }
}
