import Testing

@testable import TextFormats

@Suite("SprigFunctions")
struct SprigTests {
    private static let functions = SprigFunctions { GoTime(unixSeconds: 1_257_894_245) }.table
    private static let data: GoValue = .dictionary([
        "s": .string("hello world"), "list": .list([.string("b"), .string("a"), .nil, .string("b")]),
        "m": .dictionary(["a": .int(1), "b": .dictionary(["c": .int(2)])]), "none": .nil,
        "at": .time(GoTime(unixSeconds: 1_257_890_645)),
    ])

    private func run(_ text: String) throws -> String {
        try GoTemplate(text, name: "t", functions: Self.functions).execute(Self.data)
    }

    @Test(
        "Strings",
        arguments: [
            (
                "{{upper .s}} {{lower \"ABC\"}} {{title .s}} {{untitle \"Hello World\"}}",
                "HELLO WORLD abc Hello World hello world"
            ),
            (
                "{{trim \"  a \"}}|{{trimAll \"$\" \"$5$\"}}|{{trimSuffix \"-\" \"a-\"}}|{{trimPrefix \"-\" \"-a\"}}",
                "a|5|a|a"
            ),
            (
                "{{trunc 5 .s}}|{{trunc -5 .s}}|{{substr 0 5 .s}}|{{substr 6 -1 .s}}|{{abbrev 8 .s}}|{{abbrevboth 5 10 \"1234 5678 9123\"}}",
                "hello|world|hello|world|hello...|...5678..."
            ),
            (
                "{{repeat 3 \"ab\"}}|{{nospace \"a b\\tc\"}}|{{initials \"First Try\"}}|{{swapcase \"aB c\"}}",
                "ababab|abc|FT|Ab C"
            ),
            (
                "{{snakecase \"FirstName\"}} {{snakecase \"HTTPServer\"}} {{snakecase \"Bld4Floor3rd\"}} {{kebabcase \"NoHTTPS\"}} {{camelcase \"http_server\"}} {{snakecase \"http2xx\"}}",
                "first_name http_server bld4_floor_3rd no-https HttpServer http_2xx"
            ),
            ("{{contains \"wor\" .s}}{{hasPrefix \"hel\" .s}}{{hasSuffix \"x\" .s}}", "truetruefalse"),
            ("{{quote 1 \"a\\\"b\"}} {{squote \"a\"}} {{cat 1 \"x\" nil 2}}", "\"1\" \"a\\\"b\" 'a' 1 x 2"),
            ("{{indent 2 \"a\\nb\"}}|{{nindent 1 \"a\"}}", "  a\n  b|\n a"),
            (
                "{{replace \"l\" \"L\" .s}} {{plural \"one\" \"many\" 1}} {{plural \"one\" \"many\" 2}}",
                "heLLo worLd one many"
            ),
            (
                "{{(split \"-\" \"a-b-c\")._1}} {{splitList \",\" \"a,b\"}} {{(splitn \"-\" 2 \"a-b-c\")._1}}",
                "b [a b] b-c"
            ),
            (
                "{{join \"-\" .list}} {{sortAlpha .list}} {{join \",\" \"x\"}} {{toStrings (list 1 2)}}",
                "b-a-b [a b b] x [1 2]"
            ),
            ("{{wrap 5 \"aaa bbb ccc\"}}|{{wrapWith 3 \"-\" \"abcdef\"}}", "aaa\nbbb\nccc|abc-def"),
            (
                "{{ToLower \"AB\"}}{{ToUpper \"ab\"}}{{Replace .s \"l\" \"L\" 2}}{{Replace .s \"l\" \"\" -1}}",
                "abABheLLo worldheo word"
            ),
            (
                "{{Trim \",a,\" \",\"}}{{TrimLeft \",a,\" \",\"}}{{TrimRight \",a,\" \",\"}}{{TrimPrefix \"ab\" \"a\"}}{{TrimSuffix \"ab\" \"b\"}}{{TrimSpace \" x \"}}",
                "aa,,abax"
            ),
            (
                "{{.s | regexReplaceAll \"o\" \"0\"}}|{{regexReplaceAll \"(l+)o\" .s \"<$1>\"}}|{{regexReplaceAllLiteral \"l\" .s \"$1\"}}",
                "0|he<ll> world|he$1$1o wor$1d"
            ),
        ])
    func strings(text: String, expected: String) throws { #expect(try run(text) == expected) }

    @Test(
        "Numbers",
        arguments: [
            ("{{add 1 2 3}} {{sub 5 2}} {{mul 2 3 4}} {{div 7 2}} {{mod 7 2}} {{add1 4}}", "6 3 24 3 1 5"),
            (
                "{{addf 0.1 0.2}} {{subf 1 0.9}} {{mulf 1.1 3}} {{divf 1 3}} {{add1f 1.5}}",
                "0.3 0.1 3.3 0.3333333333333333 2.5"
            ), ("{{max 1 5 3}} {{min 1 5 3}} {{maxf 1.5 2.5}} {{minf 1 2.5}} {{biggest 1 2}}", "5 1 2.5 1 2"),
            ("{{ceil 1.2}} {{floor 1.8}} {{round 123.555555 3}} {{round 1.5 0}}", "2 1 123.556 2"),
            (
                "{{until 3}} {{untilStep 3 6 2}} {{until -2}} {{seq 5}} {{seq -3}} {{seq 0 2 5}}",
                "[0 1 2] [3 5] [0 -1] 1 2 3 4 5 1 0 -1 -2 -3 0 2 4"
            ),
            (
                "{{atoi \"12\"}} {{int \"0x10\"}} {{int64 3.9}} {{float64 \"1.5\"}} {{toDecimal \"777\"}} {{int \"x\"}} {{int true}}",
                "12 16 3 1.5 511 0 1"
            ), ("{{add \"5\" 2.9 nil}}", "7"),
        ])
    func numbers(text: String, expected: String) throws { #expect(try run(text) == expected) }

    @Test(
        "Lists, maps and defaults",
        arguments: [
            (
                "{{list 1 2 | first}} {{last (list 1 2)}} {{rest (list 1 2 3)}} {{initial (list 1 2 3)}} {{reverse (list 1 2)}}",
                "1 2 [2 3] [1 2] [2 1]"
            ),
            (
                "{{append (list 1) 2}} {{prepend (list 1) 0}} {{concat (list 1) (list 2)}} {{uniq .list}} {{without (list 1 2 3) 2}} {{has 2 (list 1 2)}} {{compact .list}}",
                "[1 2] [0 1] [1 2] [b a <nil>] [1 3] true [b a b]"
            ),
            ("{{slice (list 1 2 3) 1}} {{slice (list 1 2 3) 1 2}} {{chunk 2 (list 1 2 3)}}", "[2 3] [2] [[1 2] [3]]"),
            (
                "{{$d := dict \"a\" 1}}{{$_ := set $d \"b\" 2}}{{$d}} {{get $d \"a\"}} {{hasKey $d \"z\"}} {{keys $d}} {{values $d}} {{unset $d \"a\"}}",
                "map[a:1 b:2] 1 false [a b] [1 2] map[b:2]"
            ),
            (
                "{{pick .m \"a\"}} {{omit .m \"a\"}} {{pluck \"a\" .m (dict \"a\" 5)}} {{dig \"b\" \"c\" 0 .m}} {{dig \"b\" \"x\" 7 .m}}",
                "map[a:1] map[b:map[c:2]] [1 5] 2 7"
            ),
            (
                "{{merge (dict \"a\" 1) (dict \"a\" 2 \"b\" 3)}} {{mergeOverwrite (dict \"a\" 1) (dict \"a\" 2)}}",
                "map[a:1 b:3] map[a:2]"
            ),
            (
                "{{default \"d\" \"\"}} {{default \"d\" .missing}} {{default \"d\" 5}} {{empty 0}} {{coalesce nil \"\" 3}} {{ternary 1 2 true}} {{all 1 \"\"}} {{any 1 \"\"}}",
                "d d 5 true 3 1 false true"
            ),
            (
                "{{toJson .m}} {{toRawJson \"<\"}} {{toJson \"<\"}} {{(fromJson \"{\\\"x\\\":[1]}\").x}} {{fromJson \"{\"}}",
                "{\"a\":1,\"b\":{\"c\":2}} \"<\" \"\\u003c\" [1] <no value>"
            ),
            ("{{toPrettyJson (dict \"a\" 1)}}", "{\n  \"a\": 1\n}"),
            (
                "{{typeOf 1}} {{kindOf (list)}} {{kindIs \"map\" .m}} {{typeIs \"string\" .s}} {{deepEqual (list 1) (list 1)}}",
                "int slice true true true"
            ), ("{{$d := dict}}{{$_ := set $d \"me\" $d}}{{$d}}", "map[]"),
        ])
    func collections(text: String, expected: String) throws { #expect(try run(text) == expected) }

    @Test(
        "Dates",
        arguments: [
            (
                "{{date \"2006-01-02 15:04\" .at}} {{dateInZone \"15:04 MST\" .at \"Europe/Berlin\"}} {{htmlDate .at}} {{unixEpoch .at}}",
                "2009-11-10 22:04 23:04 CET 2009-11-10 1257890645"
            ),
            (
                "{{ago .at}} {{duration 95}} {{duration \"3600\"}} {{durationRound \"2h10m5s\"}} {{durationRound \"400h\"}} {{now.Unix}}",
                "1h0m0s 1m35s 1h0m0s 2h 16d 1257894245"
            ),
            (
                "{{(toDate \"2006-01-02\" \"2009-11-10\").Unix}} {{dateModify \"-1.5h\" .at | unixEpoch}} {{date \"2006\" 0}}",
                "1257811200 1257885245 1970"
            ),
        ])
    func dates(text: String, expected: String) throws { #expect(try run(text) == expected) }

    @Test(
        "Encodings, hashes, paths, URLs, versions and expressions",
        arguments: [
            ("{{b64enc \"hi\"}} {{b64dec \"aGk=\"}} {{b32enc \"hi\"}} {{b32dec \"NBUQ====\"}}", "aGk= hi NBUQ==== hi"),
            ("{{sha1sum \"a\"}} {{adler32sum \"Wikipedia\"}}", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8 300286872"),
            ("{{sha256sum \"a\"}}", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
            // python3: hashlib.sha3_256(b"saltvalue"), hashlib.sha256(b"saltvalue")
            ("{{Hash \"salt\" \"value\"}}", "SHA3"), ("{{Sha2Hash \"salt\" \"value\"}}", "SHA2"),
            (
                "{{base \"/a/b.c\"}} {{dir \"/a/b.c\"}} {{clean \"/a/../b//c/.\"}} {{ext \"x/a.tar.gz\"}} {{isAbs \"a\"}} {{osBase \"/x/y\"}} {{base \"\"}} {{dir \"a\"}}",
                "b.c /a /b/c .gz false y . ."
            ),
            (
                "{{$u := urlParse \"http://me:pw@host:80/a%20b?q=1#f\"}}{{$u.host}} {{$u.hostname}} {{$u.path}} {{$u.query}} {{$u.userinfo}} {{urlJoin $u}}",
                "host:80 host /a b q=1 me:pw http://me:pw@host:80/a%20b?q=1#f"
            ),
            (
                "{{(semver \"v1.2.3-rc.1+b\").Minor}} {{semverCompare \"^1.2\" \"1.9.0\"}} {{semverCompare \">=1.0, <2\" \"2.0.0\"}} {{semverCompare \"~1.2.3\" \"1.3.0\"}} {{semverCompare \"1.2.x || 3\" \"3.1.0\"}} {{semverCompare \"1.1 - 1.4\" \"1.4.9\"}} {{semverCompare \">1.0\" \"1.1.0-rc1\"}}",
                "2 true false false true true false"
            ),
            (
                "{{regexMatch \"^h\" .s}} {{regexFind \"o.\" .s}} {{regexFindAll \"o\" .s -1}} {{regexSplit \" \" .s -1}} {{regexQuoteMeta \"a.b\"}} {{regexSplit \"\" \"abc\" -1}} {{regexSplit \"b\" \"abc\" 1}}",
                "true o  [o o] [hello world] a\\.b [a b c] [abc]"
            ),
            (
                "{{len (randAlphaNum 7)}}{{len (uuidv4)}}{{len (shuffle \"abc\")}}{{randInt 3 4}}{{len (b64dec (randBytes 3) | print) | lt 0}}",
                "73633true"
            ), ("{{env \"NO_SUCH_VARIABLE_HERE\"}}{{expandenv \"a${NO_SUCH_VARIABLE_HERE}b$\"}}", "ab$"),
        ])
    func others(text: String, expected: String) throws {
        let known = [
            "SHA3": "519e18e6887a4252ee07882c73b3918e86bb502cd040e122579f257ca1748196",
            "SHA2": "d430a1da30afe1a9d07b3b36042151ebaf53c4882af1609733c04930de318e33",
        ]
        #expect(try run(text) == known[expected] ?? expected)
    }

    @Test(
        "What fails in Go fails here, with an error",
        arguments: [
            "{{div 1 0}}", "{{mod 1 0}}", "{{fail \"x\"}}", "{{first 3}}", "{{regexFind \"(\" \"a\"}}",
            "{{repeat -1 \"a\"}}", "{{semver \"x\"}}", "{{substr 3 1 \"abc\"}}", "{{slice (list 1) 5}}",
            "{{mustFromJson \"{\"}}", "{{upper 3}}",
            "{{divf 1 0}}", "{{chunk 0 (list 1)}}", "{{randInt 2 2}}", "{{dig \"a\" \"b\" 0 .m}}",
            "{{mustToDate \"2006\" \"x\"}}", "{{urlParse \":\"}}", "{{semverCompare \"?\" \"1.0.0\"}}",
        ])
    func failures(text: String) { #expect(throws: GoTemplateError.self) { try run(text) } }

    @Test(
        "What would take too much memory or time is refused",
        arguments: [
            "{{repeat 1000000000 \"abc\"}}", "{{until 100000000}}", "{{indent 100000000 \"a\"}}",
            "{{randAlpha 100000000}}", "{{$x := \"a\"}}{{range until 60}}{{$x = printf \"%s%s\" $x $x}}{{end}}",
            "{{untilStep -9223372036854775808 9223372036854775807 1}}", "{{seq 1 1 100000000}}",
            "{{$x := repeat 100000 \"a\"}}{{replace \"\" $x $x}}",
        ])
    func caps(text: String) { #expect(throws: GoTemplateError.self) { try run(text) } }

    @Test("Case is mapped character by character, as Go does")
    func caseMapping() throws {
        #expect(try run("{{upper \"stra\u{DF}e\"}} {{ToLower \"\u{130}\u{C9}\"}}") == "STRA\u{DF}E i\u{E9}")
    }

    @Test(
        "Functions that need keys or a network are refused by name",
        arguments: [
            "genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert",
            "genSignedCertWithKey", "buildCustomCert", "bcrypt", "htpasswd", "encryptAES", "decryptAES",
            "derivePassword", "getHostByName",
        ])
    func refused(name: String) {
        do {
            _ = try GoTemplate("{{\(name) \"a\"}}", functions: Self.functions)
            Issue.record("compiled")
        } catch { #expect(error.message.contains("function \"\(name)\" is not supported")) }
    }
}
