import AlloySyntax
import Testing

@Suite("DiagnosticRenderer")
struct DiagnosticRendererTests {
    private func render(
        _ text: String, _ start: Int, _ end: Int, severity: Diagnostic.Severity = .error, notes: [String] = []
    ) -> String {
        let source = SourceFile(name: "c.alloy", text: text)
        return DiagnosticRenderer().render(
            Diagnostic(severity, "it is wrong", at: SourceRange(file: source, start: start, end: end), notes: notes))
    }

    @Test("A place on one line is underlined, tabs widened")
    func singleLine() {
        #expect(
            render("a {\n\tbc = 1\n}\n", 5, 7) == """
                Error: c.alloy:2:2: it is wrong

                1 | a {
                2 |     bc = 1
                  |     ^^
                3 | }

                """)
    }

    @Test("Warnings say so and notes follow the excerpt")
    func warningWithNotes() {
        #expect(
            render("old = 1", 0, 3, severity: .warning, notes: ["use \"new\"", "see the manual"]) == """
                Warning: c.alloy:1:1: it is wrong

                1 | old = 1
                  | ^^^
                  = use "new"
                  = see the manual

                """)
    }

    @Test("A place behind the end of a line gets a caret there")
    func endOfLine() {
        #expect(render("a = [1\n]\n", 6, 7) == "Error: c.alloy:1:7: it is wrong\n\n1 | a = [1\n  |       ^\n2 | ]\n")
    }

    @Test("Line numbers are padded to one width")
    func padding() {
        let text = (1...11).map { "l\($0)" }.joined(separator: "\n")
        #expect(
            render(text, 24, 26)
                == "Error: c.alloy:9:1: it is wrong\n\n 8 | l8\n 9 | l9\n   | ^^\n10 | l10\n")
    }

    @Test("A place of several lines is drawn along its side")
    func severalLines() {
        #expect(
            render("first\nx = b {\n\tc = 1\n} d\nlast", 10, 22) == """
                Error: c.alloy:2:5: it is wrong

                1 |   first
                2 |   x = b {
                  |  _____^^^
                3 | |     c = 1
                4 | | } d
                  | |_^
                5 |   last

                """)
    }

    @Test("Characters of several bytes are one column of the drawing")
    func wideCharacters() {
        #expect(render("\u{E9}\u{E9} #", 5, 6) == "Error: c.alloy:1:6: it is wrong\n\n1 | \u{E9}\u{E9} #\n  |    ^\n")
    }

    @Test("Control characters never reach the terminal")
    func controls() {
        #expect(!render("a \u{1B}[31m\u{7F}\r\n", 2, 3).unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
    }

    @Test("Without a place only the message is shown")
    func unknownPlace() {
        let diagnostic = Diagnostic(.error, "it is wrong", at: .unknown)
        #expect(DiagnosticRenderer().render(diagnostic) == "Error: it is wrong\n")
    }

    @Test("Several diagnostics are separated by an empty line")
    func several() {
        let source = SourceFile(name: "f", text: "a")
        let one = Diagnostic(.error, "x", at: SourceRange(file: source, start: 0, end: 1))
        #expect(
            DiagnosticRenderer().render(Diagnostics([one, one]))
                == "Error: f:1:1: x\n\n1 | a\n  | ^\n\nError: f:1:1: x\n\n1 | a\n  | ^\n")
        #expect(DiagnosticRenderer(usesColor: true).render(one).hasPrefix("\u{1B}[31;1mError: "))
    }

    @Test("Long ranges are shown at both ends")
    func longRange() {
        let text = String(repeating: "line\n", count: 10_000)
        let rendered = render(text, 0, text.utf8.count)
        #expect(rendered.utf8.count < 5_000)
        #expect(rendered.contains("10000 | | line"))
        #expect(rendered.contains(" | | ...\n"))
    }

    @Test(
        "The name that was meant is found",
        arguments: [
            ("forward_too", "forward_to"), ("fowrard_to", "forward_to"), ("target", "targets"), ("url", nil),
            ("forward_to", "forwarded"), ("", nil), ("xyzzyxyzzy", nil),
        ] as [(String, String?)])
    func spelling(name: String, expected: String?) {
        let candidates = ["targets", "forward_to", "job_name", "forwarded"]
        #expect(Spelling.suggestion(for: name, among: candidates) == expected)
        #expect(Spelling.note(for: name, among: candidates) == expected.map { "did you mean \"\($0)\"?" })
    }
}
