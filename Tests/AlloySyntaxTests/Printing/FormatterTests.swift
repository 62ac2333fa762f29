import AlloySyntax
import Testing

@Suite("Formatter")
struct FormatterTests {
    @Test(
        "Layout",
        arguments: [
            ("", "\n"),
            ("a=1", "a = 1\n"),
            ("a=1\nlonger=2", "a      = 1\nlonger = 2\n"),
            // An empty line, a block or a value of several lines ends the column of equal signs.
            ("a=1\n\nlonger=2", "a = 1\n\nlonger = 2\n"),
            ("a=1\n\n\n\n\nlonger=2\n\n\n", "a = 1\n\nlonger = 2\n"),
            ("a=1\nb{}\nlonger=2", "a = 1\n\nb { }\nlonger = 2\n"),
            ("a=[\n1]\nlonger=2", "a = [\n\t1]\nlonger = 2\n"),
            ("a{}\nb{}", "a { }\n\nb { }\n"),
            ("a.b \"c\"{\nd=1\ne{f=2}\n}", "a.b \"c\" {\n\td = 1\n\n\te {\n\t\tf = 2\n\t}\n}\n"),
            ("a \"\" {\n}", "a { }\n"),
            ("\u{E9}\u{E9}\u{E9}=1\nab=2", "\u{E9}\u{E9}\u{E9} = 1\nab  = 2\n"),
            ("x = a+b*-c^!d||(e)&&f", "x = a + b * -c ^ !d || (e) && f\n"),
            ("x = a . b [ 0 ] ( c , d )", "x = a.b[0](c, d)\n"),
            ("x = 1 .a", "x = 1 .a\n"),
            ("a\t=\t1\r\nb = 2\r\n", "a = 1\nb = 2\n"),
        ])
    func layout(input: String, expected: String) throws {
        try check(input, expected)
    }

    @Test(
        "Arrays, objects and calls",
        arguments: [
            ("a = [1,2,\n3,4]", "a = [1, 2,\n\t3, 4]\n"),
            ("a = [\n1,2\n,]", nil),
            ("a = [\n1,\n2,\n]", "a = [\n\t1,\n\t2,\n]\n"),
            ("a = [[\n1,\n],[2]]", "a = [[\n\t1,\n], [2]]\n"),
            ("a = [{\nb=1,\nlonger=2,\n}]", "a = [{\n\tb      = 1,\n\tlonger = 2,\n}]\n"),
            ("a = [\n{b=1},\n{c=2},\n]", "a = [\n\t{b = 1},\n\t{c = 2},\n]\n"),
            ("a = {b=1,c=2}", "a = {b = 1, c = 2}\n"),
            ("a = {\nb=1, c=2,\n}", "a = {\n\tb = 1, c = 2,\n}\n"),
            ("a = {b = [\n1,\n]}", "a = {b = [\n\t\t1,\n\t],\n}\n"),
            (
                "a = {\n\"k e y\"=1,\nk=[\n],\nlong=2,\n}",
                "a = {\n\t\"k e y\" = 1,\n\tk       = [],\n\tlong    = 2,\n}\n"
            ),
            ("a = {\n`k`=1,\n}", "a = {\n\t\"k\" = 1,\n}\n"),
            ("a = f(1,2\n,3)", nil),
            ("a = f(1,\n2,\n3)", "a = f(1,\n\t2,\n\t3)\n"),
            ("a = f(\n1,\n2,\n)", "a = f(\n\t1,\n\t2,\n)\n"),
            ("a = f({\nb=1,\n})", "a = f({\n\tb = 1,\n})\n"),
            ("a = [\n\n\n1,\n\n2,\n]", "a = [\n\t1,\n\t2,\n]\n"),
        ] as [(String, String?)])
    func collections(input: String, expected: String?) throws {
        guard let expected else {
            #expect(throws: Diagnostics.self) { try Formatter.format(input) }
            return
        }
        try check(input, expected)
    }

    @Test(
        "Comments",
        arguments: [
            ("// a\n\n\n\n// b", "// a\n\n// b\n"),
            ("a=1//b\nlonger=2  // c", "a      = 1 //b\nlonger = 2 // c\n"),
            ("a=1 // b\nc=200\nd=3 // e", "a = 1 // b\nc = 200\nd = 3 // e\n"),
            ("a=/*b*/1", "a = /*b*/ 1\n"),
            ("/* a\n b */\nc=1", "/* a\n b */\nc = 1\n"),
            ("a {// b\n}", "a { // b\n}\n"),
            ("a {\n//b\n\n//c\n}", "a {\n\t//b\n\n\t//c\n}\n"),
            ("a {\nb=1\n\n// c\nd=2\n}", "a {\n\tb = 1\n\n\t// c\n\td = 2\n}\n"),
            ("a {\n}\n// b\nc {\n}", "a { }\n// b\nc { }\n"),
            ("a = [ // b\n1, // c\n// d\n]", "a = [ // b\n\t1, // c\n\t// d\n]\n"),
            ("a = {\n// b\nc=1, // d\nlonger=2, // e\n}", "a = {\n\t// b\n\tc      = 1, // d\n\tlonger = 2, // e\n}\n"),
            ("// trailing blanks stay  \na=1", "// trailing blanks stay  \na = 1\n"),
        ])
    func comments(input: String, expected: String) throws {
        try check(input, expected)
    }

    @Test(
        "What Alloy's formatter would change the meaning of keeps it",
        arguments: [
            ("a = `x\ty  \n\t\tz \n\n\n`", "a = `x\ty  \n\t\tz \n\n\n`\n"),
            ("b {\nlong_name = `x\n\t\ty`\n}", "b {\n\tlong_name = `x\n\t\ty`\n}\n"),
            ("a = \"x\ty\"", "a = \"x\ty\"\n"),
            ("a = {\"b\\\\n\" = 1, `c\\d` = 2}", "a = {\"b\\\\n\" = 1, `c\\d` = 2}\n"),
            ("a = f(\n)", "a = f()\n"),
            ("a = [b.\n// c\nd]", "a = [b.\n// c\nd]\n"),
            ("a.\n// c\nb \"d\" { }", "// c\na.b \"d\" { }\n"),
        ])
    func keptMeaning(input: String, expected: String) throws {
        try check(input, expected)
    }

    @Test("A value on the line below its equal sign settles in one go")
    func settles() throws {
        try check("b {\na =\n\n1\nlonger = 2\n}", "b {\n\ta      = 1\n\tlonger = 2\n}\n")
    }

    @Test("What cannot be parsed is not formatted")
    func errors() {
        #expect(throws: Diagnostics.self) { try Formatter.format("a = [") }
    }

    @Test("Scattering space and comments over a configuration changes neither meaning nor settledness")
    func scattered() throws {
        let pieces = [
            "a", " =", " f", "(", "1", ",", " [", "2", ",", " 3", "]", ",", " {", "x", " =", " 1", ",", " \"y z\"",
            " =",
            " `p\tq \n\tr`", "}", ")", "[", "0", "]", ".", "b", " +", " -", "1", " *", " !", "c", " ||", " (", "d",
            " ==",
            " e", ")", "\n", "g", ".", "h", " \"i\"", " {", "\n", "j", " =", " 1", "\n", "k", " {", "\n", "}", "\n",
            "}", "\n",
        ]
        let inserted = [" ", "\n", "\n\n\n", "\t", " // c\n", "/* b */", " /* b\nb */ ", "\n// own\n\n", "\r\n"]
        var state: UInt64 = 7
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var accepted = 0
        for _ in 0..<3_000 {
            var text = ""
            for piece in pieces {
                text += piece
                if random(25) == 0 { text += inserted[random(inserted.count)] }
            }
            guard let tree = try? Parser.parse(text) else { continue }
            accepted += 1
            let once = Formatter.format(tree)
            let again = try Parser.parse(SourceFile(name: "", bytes: once))
            #expect(again.body == tree.body, "\(text)")
            #expect(
                again.comments.flatMap { $0.comments.map(\.text) } == tree.comments.flatMap { $0.comments.map(\.text) },
                "\(text)")
            #expect(Formatter.format(again) == once, "\(text)")
        }
        #expect(accepted > 100)
    }

    private func check(_ input: String, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let once = try Formatter.format(input)
        #expect(once == expected, sourceLocation: sourceLocation)
        #expect(try Formatter.format(once) == once, sourceLocation: sourceLocation)
    }
}
