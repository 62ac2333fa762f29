import LokiComponents
import TextFormats
import Transport

/// Questions asked of others' bytes: answers of name servers, and JMESPath expressions over documents.
enum QueryTargets {
    static let all: [FuzzTarget] = [dns, jmespath, jmespathDocuments]

    // MARK: DNS

    /// An answer to `a.b.` whose records hold compressed names, an address, a service and a type nobody decodes.
    private static let answer: [UInt8] =
        [0, 7, 0x85, 0x80, 0, 1, 0, 4, 0, 0, 0, 0] + [1, 0x61, 1, 0x62, 0, 0, 1, 0, 1]
        + [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]
        + [0xC0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 11, 0, 1, 0, 2, 0, 80, 2, 0x63, 0x64, 0xC0, 14]
        + [0xC0, 14, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xC0, 12]
        + [0, 0, 16, 0, 1, 0, 0, 0, 60, 0, 2, 1, 0x78]

    private static let dns = FuzzTarget(
        name: "dns", seeds: [answer, Array(answer.prefix(28)), (try? DNSMessage.query("a.b", .srv, id: 7)) ?? []],
        dictionary: ["\u{C}", "\u{3F}", "\u{1}\u{2E}", "\0\u{1C}\0\u{1}"]
    ) { input in
        let message = try DNSMessage(decoding: input)
        for record in message.answers {
            try require(record.name.hasSuffix("."), "an owner without its final dot: \(record.name)")
            // Each of 255 bytes may be written as an escape of four.
            try require(record.name.utf8.count <= 4 * 255, "an owner of \(record.name.utf8.count) bytes")
        }
        return magnitude(message.answers.count) << 4 | magnitude(message.questionName.utf8.count)
    }

    // MARK: JMESPath

    private static let expressions = [
        "a.b[0].c", "*.b", "a[?b > `1` && !c].{x: b, y: length(c)}", "a[1:-1:2] | [0]", "sort_by(a, &b)[].c",
        "let $x = a in b[?c == $x]", "a.\"quoted \\u00e9\" || 'raw' || $", "(a + b) * -c // `2` % d",
        "join(',', a[*].b)",
    ]

    /// Expressions are only compiled: whoever writes one may well ask for more work than a fuzzer has time.
    private static let jmespath = FuzzTarget(
        name: "jmespath", seeds: expressions.map(bytes),
        dictionary: ["[?", "[]", "[*]", ".{", "&&", "||", "`{\"a\":[1]}`", "'\\'", "let $v = ", " in ", "&", "$", "::"]
    ) { input in
        _ = try JMESPath(String(decoding: input, as: UTF8.self))
        return magnitude(input.count)
    }

    private static let compiled = expressions.compactMap { try? JMESPath($0) }

    private static let jmespathDocuments = FuzzTarget(
        name: "jmespath-document",
        seeds: expressions.indices.map {
            [UInt8($0)] + bytes(#"{"a":[{"b":2,"c":[1]},{"b":"x","c":null}],"b":-1.5e3,"c":{}}"#)
        }
    ) { input in
        guard let choice = input.first else { return 0 }
        try require(compiled.count == expressions.count, "an expression of the seeds is refused")
        let document = try JSONValue(parsing: Array(input.dropFirst()))
        let found = try compiled[Int(choice) % compiled.count].search(document)
        return magnitude("\(found)".utf8.count)
    }
}
