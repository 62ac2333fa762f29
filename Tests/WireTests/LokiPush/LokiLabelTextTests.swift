import Telemetry
import Testing

@testable import Wire

@Suite("Loki label text")
struct LokiLabelTextTests {
    @Test(
        "Label text that Prometheus would read",
        arguments: [
            ("{}", [:]),
            (#" { a = "1" , b='2',} "#, ["a": "1", "b": "2"]),
            (#"{a="x\n\t\"\\\x41\101\u00e9"}"#, ["a": "x\n\t\"\\AAé"]),
            (#"{a=`raw\n`, b='it\'s "q"'}"#, ["a": "raw\\n", "b": "it's \"q\""]),
            (#"{"dotted.name"="v", a="w"}"#, ["dotted.name": "v", "a": "w"]),
            (#"up:total{a="1"}"#, ["__name__": "up:total", "a": "1"]),
            ("up", ["__name__": "up"]),
            (#"{"up", a="1"}"#, ["__name__": "up", "a": "1"]),
            ("{a=\"1\", # note\n b=\"2\"}", ["a": "1", "b": "2"]),
            (#"{a="1",a="2"}"#, ["a": "2"]),
            (#"{a=""}"#, [:]),
            (#"{a="é😀"}"#, ["a": "é😀"]),
        ] as [(String, LabelSet)])
    func parsed(_ text: String, _ expected: LabelSet) throws {
        #expect(try LokiLabelText.parse(text) == expected)
    }

    @Test(
        "Label text that Prometheus would refuse",
        arguments: [
            ("", "labels at byte 0: expected `{`"),
            ("{", "labels at byte 1: expected a label name or `}`"),
            ("{,}", "labels at byte 1: expected a label name or `}`"),
            (#"{a}"#, "labels at byte 2: expected `=`"),
            (#"{a=b}"#, "labels at byte 3: expected a quoted label value"),
            (#"{a="b"#, "labels at byte 3: unterminated quoted string"),
            (#"{a="b" c="d"}"#, "labels at byte 7: expected `,` or `}`"),
            (#"{a="b"} x"#, "labels at byte 8: unexpected text after `}`"),
            (#"{a="\q"}"#, "labels at byte 5: unknown escape in the string at byte 3"),
            (#"{1a="b"}"#, "labels at byte 1: expected a label name or `}`"),
            (#"{""="b"}"#, "labels at byte 3: empty label name"),
        ])
    func refused(_ text: String, _ message: String) {
        #expect(throws: LokiPushError(.malformed, message)) { try LokiLabelText.parse(text) }
    }

    @Test(
        "Label sets are written as Go's clients write them",
        arguments: [
            ([:], "{}"),
            (["b": "2", "a": "1"], #"{a="1", b="2"}"#),
            (["a": "q\"\\\n\r\t\u{7}\u{8}\u{b}\u{c}\u{1}\u{7f}"], #"{a="q\"\\\n\r\t\a\b\v\f\x01\x7f"}"#),
            (["a": "é😀\u{a0}\u{200b}\u{e0001}"], #"{a="é😀\u00a0\u200b\U000e0001"}"#),
        ] as [(LabelSet, String)])
    func written(_ labels: LabelSet, _ expected: String) throws {
        #expect(LokiLabelText.text(labels) == expected)
        #expect(try LokiLabelText.parse(expected) == labels)
    }

    @Test("Invalid UTF-8 becomes hexadecimal escapes and comes back as it was")
    func invalidUTF8() throws {
        var builder = LabelSetBuilder()
        let value: [UInt8] = [0x61, 0xFF, 0xC3, 0x28, 0xED, 0xA0, 0x80]
        Array("a".utf8).withUnsafeBytes { name in value.withUnsafeBytes { builder.set(name, to: $0) } }
        let labels = builder.finish()
        #expect(LokiLabelText.text(labels) == #"{a="a\xff\xc3(\xed\xa0\x80"}"#)
        #expect(try LokiLabelText.parse(LokiLabelText.text(labels)) == labels)
    }

    @Test("Internal labels are left out on request")
    func internalLabels() {
        var bytes: [UInt8] = []
        LokiLabelText.append(["__tenant_id__": "x", "a": "1", "_b": "2"], skippingInternal: true, to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == #"{_b="2", a="1"}"#)
    }
}
