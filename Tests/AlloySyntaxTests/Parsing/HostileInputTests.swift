import AlloySyntax
import Testing

@Suite("Hostile configurations")
struct HostileInputTests {
    private func errors(_ bytes: [UInt8]) -> [Diagnostic] {
        do throws(Diagnostics) {
            _ = try Parser.parse(SourceFile(name: "f", bytes: bytes))
            return []
        } catch {
            return error.items
        }
    }

    @Test(
        "Deep nesting is refused, not followed",
        arguments: [
            "a = [", "a = (", "a = {b = ", "a { ", "a = f(", "a = b[", "a = -", "a = 1 ^ ", "a = b \"c\" { d = ",
        ])
    func deepNesting(unit: String) {
        let start = unit.hasPrefix("a = ") ? "a = " : ""
        let repeated = String(unit.dropFirst(start.count))
        let text = start + String(repeating: repeated, count: 100_000)
        let found = errors(Array(text.utf8))
        #expect(found.contains { $0.message.hasPrefix("nested too deeply") })
    }

    @Test("Blocks in misused blocks are bounded too")
    func deepMisusedBlocks() {
        let text = String(repeating: "a = b { ", count: 100_000)
        #expect(errors(Array(text.utf8)).contains { $0.message.hasPrefix("nested too deeply") })
    }

    @Test("Chains longer than the bound are refused", arguments: [" + 1", ".b", "[0]", "()", " && c"])
    func longChains(link: String) {
        let text = "a = x" + String(repeating: link, count: 200_000) + "\n"
        #expect(errors(Array(text.utf8)).map(\.message).contains { $0.hasPrefix("expression too long") })
    }

    @Test("Nesting and chains within the bounds are accepted")
    func withinBounds() throws {
        let nested = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
        let chain = "x" + String(repeating: " + 1", count: 900)
        let tree = try Parser.parse("a = \(nested)\nb = \(chain)\n")
        #expect(tree.body.statements.count == 2)
        #expect(Formatter.format(tree) == tree.source.bytes)
    }

    @Test("Wide lists of any size are accepted")
    func wideLists() throws {
        let tree = try Parser.parse("a = [" + String(repeating: "1,", count: 50_000) + "]")
        guard case .array(let elements) = tree.body.attributes.first?.value.kind else {
            Issue.record("not an array")
            return
        }
        #expect(elements.count == 50_000)
    }

    @Test("A megabyte of garbage is answered with a bounded report in bounded time")
    func garbage() {
        var state: UInt64 = 42
        let alphabet = Array("abc {}[]()=\n\"`.,/*+-<>!&|#'\\\0\u{E9}".utf8) + [0xFF]
        let limit = ContinuousClock.Instant.now.advanced(by: .seconds(60))
        for usesAlphabet in [true, false] {
            let bytes = (0..<1_000_000).map { _ -> UInt8 in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let value = UInt8(truncatingIfNeeded: state >> 33)
                return usesAlphabet ? alphabet[Int(value) % alphabet.count] : value
            }
            let found = errors(bytes)
            #expect(!found.isEmpty)
            #expect(found.count <= 101)
            #expect(DiagnosticRenderer().render(Diagnostics(found)).utf8.count < 400_000)
        }
        #expect(ContinuousClock.now < limit)
    }

    @Test("One line of a megabyte is shown in part")
    func longLine() {
        let bytes = Array("a = ".utf8) + [UInt8](repeating: UInt8(ascii: "#"), count: 1_000_000)
        let found = errors(bytes)
        #expect(found.count == 101)
        #expect(DiagnosticRenderer().render(Diagnostics(found)).utf8.count < 200_000)
    }

    @Test("Truncating a configuration anywhere neither traps nor passes silently with a broken tree")
    func truncation() throws {
        let text = """
            a "b" { // c
              d = {"e" = [1, -2.5e3, `f`, "g\\n"], h = !i.j[0](k, l) ^ 2 && (m || n)}
            }
            /* o */
            """
        let bytes = Array(text.utf8)
        for count in 0..<bytes.count {
            let source = SourceFile(name: "f", bytes: Array(bytes[..<count]))
            if let tree = try? Parser.parse(source) {
                let again = try Parser.parse(SourceFile(name: "f", bytes: Formatter.format(tree)))
                #expect(again.body == tree.body)
            }
        }
    }
}
