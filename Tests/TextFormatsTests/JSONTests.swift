import Foundation
import Testing

@testable import TextFormats

@Suite("JSON")
struct JSONTests {
    @Test(
        "Documents survive reading and writing",
        arguments: [
            "null", "true", "false", "0", "-1.5e10", "\"\"", "\"a\\nb\"", "[]", "{}", "[1,[2,[3]]]",
            "{\"b\":1,\"a\":{\"c\":[true,null]}}",
            "123456789012345678901234567890", "\"\\u0001\\\\\\\"\"", "\"\u{20AC}\u{1F600}\"",
            "\"\\u003ca\\u003e\\u0026\"", "\"\\u2028\"",
        ])
    func roundTrips(text: String) throws {
        #expect(try JSONWriter().text(JSONValue(parsing: text)) == text)
        #expect(try JSONValue(parsing: " \n\t" + text + "\r ") == JSONValue(parsing: text))
        let indented = try JSONWriter(indent: "  ").text(JSONValue(parsing: text))
        #expect(try JSONValue(parsing: indented) == JSONValue(parsing: text))
        _ = try JSONSerialization.jsonObject(with: Data(indented.utf8), options: .fragmentsAllowed)
    }

    @Test(
        "Malformed text is refused with Go's words and the offset",
        arguments: [
            ("", "unexpected end of JSON input", 0),
            ("[1,]", "invalid character ']' looking for beginning of value", 3),
            ("{\"a\" 1}", "invalid character '1' after object key", 5),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string", 1),
            ("[1 2]", "invalid character '2' after array element", 3),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair", 7),
            ("1 2", "invalid character '2' after top-level value", 2),
            ("01", "invalid character '1' after top-level value", 1),
            ("-", "unexpected end of JSON input", 1), ("1.", "unexpected end of JSON input", 2),
            ("1.x", "invalid character 'x' after decimal point in numeric literal", 2),
            ("1ex", "invalid character 'x' in exponent of numeric literal", 2),
            ("tru", "unexpected end of JSON input", 3),
            ("trux", "invalid character 'x' in literal true (expecting 'e')", 3),
            ("\"a\nb\"", "invalid character '\\n' in string literal", 2),
            ("\"\\x\"", "invalid character 'x' in string escape code", 2),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape", 5),
            ("\"abc", "unexpected end of JSON input", 4),
            ("+1", "invalid character '+' looking for beginning of value", 0), ("{", "unexpected end of JSON input", 1),
            ("-a", "invalid character 'a' in numeric literal", 1),
            ("'a'", "invalid character '\\'' looking for beginning of value", 0),
            ("\u{1}", "invalid character '\\x01' looking for beginning of value", 0),
        ])
    func malformed(text: String, message: String, offset: Int) {
        #expect(throws: TextFormatError(message, offset: offset)) { try JSONValue(parsing: text) }
        #expect(throws: TextFormatError(message, offset: offset)) { try text.withBytes { try JSONScanner($0).root() } }
    }

    @Test("Nesting over the cap is refused and does not exhaust the stack")
    func depth() throws {
        let nested = { (levels: Int) in String(repeating: "[", count: levels) + String(repeating: "]", count: levels) }
        _ = try JSONValue(parsing: nested(500))
        #expect(throws: TextFormatError("exceeded max depth", offset: 500)) { try JSONValue(parsing: nested(501)) }
        #expect(throws: TextFormatError.self) { try JSONValue(parsing: String(repeating: "{\"a\":", count: 100_000)) }
        #expect(throws: TextFormatError.self) {
            try String(repeating: "[", count: 100_000).withBytes { try JSONScanner($0).root() }
        }
    }

    @Test("Strings are decoded as Go decodes them")
    func strings() throws {
        #expect(try JSONValue(parsing: "\"\\ud83d\\ude00\\/\\b\\f\"") == .string("\u{1F600}/\u{8}\u{C}"))
        #expect(try JSONValue(parsing: "\"\\ud83dx\\udc00\"") == .string("\u{FFFD}x\u{FFFD}"))
        #expect(
            try JSONValue(parsing: [0x22, 0x61, 0xE2, 0x82, 0xFF, 0x62, 0x22]) == .string("a\u{FFFD}\u{FFFD}\u{FFFD}b"))
        var output: [UInt8] = []
        [0x61, 0xFF, 0x7F, 0x1F].withUnsafeBytes { (raw: UnsafeRawBufferPointer) in
            JSONWriter().append(string: UnsafeRawBufferPointer(raw), to: &output)
        }
        #expect(JSONWriter(escapesHTML: false).text(.string("<&>\u{7F}\u{1F}\u{8}")) == "\"<&>\u{7F}\\u001f\\b\"")
    }

    @Test("Bytes that are no UTF-8 are written as U+FFFD")
    func invalidBytes() {
        let bytes: [UInt8] = [0x61, 0xFF, 0xC3, 0xA9]
        var output: [UInt8] = []
        bytes.withUnsafeBytes { JSONWriter().append(string: $0, to: &output) }
        #expect(String(decoding: output, as: UTF8.self) == "\"a\\ufffd\u{E9}\"")
    }

    @Test("Objects keep their order, the last duplicate wins, keys sort by bytes")
    func objects() throws {
        let value = try JSONValue(parsing: "{\"b\":1,\"a\":2,\"b\":3}")
        #expect(JSONWriter().text(value) == "{\"b\":3,\"a\":2}")
        #expect(JSONWriter(sortsKeys: true).text(value) == "{\"a\":2,\"b\":3}")
        var object = JSONObject()
        for index in 0..<100 { object["k\(index)"] = .int(index) }
        for index in stride(from: 0, to: 100, by: 2) { object["k\(index)"] = nil }
        #expect(object.count == 50 && object["k51"] == .int(51) && object["k50"] == nil)
        #expect(object.keys.first == "k1")
    }

    @Test(
        "Numbers keep their text and print as Go prints floats",
        arguments: [
            (1.0, "1"), (0.1, "0.1"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-7, "1e-7"),
            (0.000001, "0.000001"), (1.5e-10, "1.5e-10"), (-0.5, "-0.5"),
        ])
    func numbers(value: Double, text: String) throws {
        #expect(JSONNumber(value)?.text == text)
        #expect(try JSONValue(parsing: text).doubleValue == value)
        #expect(try JSONValue(parsing: "9007199254740993").intValue == 9_007_199_254_740_993)
        #expect(JSONValue.double(.nan) == .null)
    }

    @Test("The scanner finds raw values by path")
    func scanner() throws {
        let text =
            "{ \"a\" : {\"b\": [1, \"x\\u0041\"], \"b\\u0063\": -1.5} , \"a2\":null, \"s\":\"q\\n\", \"d\":1, \"d\":2}"
        try text.withBytes { bytes in
            let scanner = JSONScanner(bytes)
            let raw = { (path: [String]) in
                try scanner.value(at: path).map { String(decoding: bytes[$0.range], as: UTF8.self) }
            }
            #expect(try raw(["a", "b"]) == "[1, \"x\\u0041\"]")
            #expect(try raw(["a", "bc"]) == "-1.5")
            #expect(try raw(["a2"]) == "null")
            #expect(try raw(["d"]) == "2")
            #expect(try raw(["a", "z"]) == nil)
            #expect(try raw(["s", "z"]) == nil)
            let string = try #require(try scanner.value(at: ["s"]))
            #expect(string.kind == .string && scanner.text(of: string) == "q\n")
            let array = try #require(try scanner.value(at: ["a", "b"]))
            var texts: [String] = []
            try scanner.forEachElement(of: array) {
                texts.append(scanner.text(of: $0))
                return true
            }
            #expect(texts == ["1", "xA"])
            #expect(try scanner.parse(array) == .array([.int(1), .string("xA")]))
        }
        #expect(throws: TextFormatError.self) { try "{\"a\":1,}".withBytes { try JSONScanner($0).value(at: ["a"]) } }
    }

    @Test("Damaged documents never trap")
    func hostile() throws {
        let text = Array("{\"a\":[1,2.5e3,\"\\u00e9\\n\",true,null],\"b\":{\"c\":\"d\"}}".utf8)
        for index in text.indices {
            for byte: UInt8 in [0, 0x22, 0x5C, 0x7B, 0x5D, 0xFF, 0x2D] {
                var damaged = text
                damaged[index] = byte
                let tree = try? JSONValue(parsing: damaged)
                let raw = try? damaged.withUnsafeBytes { try JSONScanner($0).root() }
                #expect((tree == nil) == (raw == nil))
            }
            #expect(throws: TextFormatError.self) { try JSONValue(parsing: Array(text[..<index])) }
        }
    }
}
