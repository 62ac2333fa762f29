import Testing
import Wire

@testable import OTTL

@Suite("OTTL XML")
struct XMLTests {
    static let library = """
        <lib n="1"><book id="b1" price="10"><title>One</title></book><!-- c --><book id="b2" price="25">\
        <title>Two &amp; more</title><note><![CDATA[a<b]]></note></book><x:mag>m</x:mag><?go now?></lib>
        """

    static func text(_ name: String, _ document: String, _ rest: String...) throws -> String {
        let call = "\(name)(" + (["body"] + rest.map { "\"\($0)\"" }).joined(separator: ", ") + ")"
        guard case .string(let bytes) = try Fixture.value(call, of: Fixture.logs(body: .string(document))) else {
            throw OTTLError("no string")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(
        "Paths select what they say",
        arguments: [
            ("/lib/book[1]/title", "<title>One</title>"), ("//title/text()", "OneTwo &amp; more"),
            ("//book[last()]/@id", "b2"), ("//book[@price > 20]/@id", "b2"), ("//book[title='One']/@id", "b1"),
            ("//note", "<note><![CDATA[a<b]]></note>"), ("//note/text()", "a&lt;b"), ("/lib/x:mag/text()", "m"),
            ("/lib/x:*/text()", "m"), ("//*[local-name()='mag']/text()", "m"),
            ("//@id | //title[starts-with(., 'One')]/text()", "b1Oneb2"),
            ("//title/ancestor::book/@id", "b1b2"), ("//note/preceding-sibling::title/text()", "Two &amp; more"),
            ("//book[following-sibling::book]/@id", "b1"), ("//note/preceding::title[1]/text()", "Two &amp; more"),
            ("//book[1]/following::title/text()", "Two &amp; more"), ("//title/../@id", "b1b2"),
            ("(//book)[2]/@id", "b2"), ("//book[position() mod 2 = 0]/@id", "b2"),
            ("//book[not(note)]/@id", "b1"), ("//book[count(*) = 2]/@id", "b2"),
            ("//book[contains(title, 'more') and string-length(@id) = 2]/@id", "b2"),
            ("/lib[processing-instruction('go')]/@n", "1"), ("/lib[comment()]/@n", "1"),
            ("//book[substring(@id, 2) = '1' or @id = 'none']/@id", "b1"),
            ("//book[translate(@id, 'b', 'c') = 'c2']/@id", "b2"), ("//book[sum(//@price) = 35]/@id", "b1b2"),
            ("//title[normalize-space(concat(' ', ., ' ')) = 'One']/text()", "One"),
            ("//book[substring-before(title, ' ') = 'Two']/@id", "b2"), ("//book[@price * 2 - 5 = 15]/@id", "b1"),
            ("//book[-@price < -20]/@id", "b2"), ("/lib/child::node()[self::book]/attribute::id", "b1b2"),
            ("//none", ""), ("//book[0]", ""),
        ])
    func paths(_ path: String, _ expected: String) throws {
        #expect(try Self.text("GetXML", Self.library, path) == expected, "\(path)")
    }

    @Test("Documents are changed in place and written again")
    func changes() throws {
        #expect(try Self.text("RemoveXML", "<a><b/><c><b d='1'/></c></a>", "//b") == "<a><c></c></a>")
        #expect(try Self.text("RemoveXML", "<a x='1' y='2'/>", "/a/@x") == "<a y=\"2\"></a>")
        #expect(try Self.text("RemoveXML", "<a>t<!-- c --><![CDATA[d]]></a>", "//text()") == "<a><!-- c --></a>")
        let declared = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY e \"x>\">]><a>'&lt;'</a>"
        #expect(
            try Self.text("RemoveXML", declared, "//comment()")
                == "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY e \"x>\">]><a>&#39;&lt;&#39;</a>")
        #expect(
            try Self.text("InsertXML", "<a><b/><b/></a>", "//b", "<c>1</c>2")
                == "<a><b><c>1</c>2</b><b><c>1</c>2</b></a>")
        #expect(try Self.text("InsertXML", "<a/>", "/", "<b/>") == "<a></a><b></b>")
        #expect(throws: OTTLError.self) { try Self.text("InsertXML", "<a b='1'/>", "//@b", "<c/>") }
        #expect(
            try Self.text("ConvertAttributesToElementsXML", "<a x='1' y='2'><b z='3'/></a>")
                == "<a><b><z>3</z></b><x>1</x><y>2</y></a>")
        #expect(
            try Self.text("ConvertAttributesToElementsXML", "<a x='1'><b z='3'/></a>", "/a/@x")
                == "<a><b z=\"3\"></b><x>1</x></a>")
        #expect(
            try Self.text("ConvertTextToElementsXML", "<a>t<b>only</b>u</a>")
                == "<a><value>t</value><b>only</b><value>u</value></a>")
        #expect(
            try Self.text("ConvertTextToElementsXML", "<a><b>t<c/></b>u<d/></a>", "/a/b", "v")
                == "<a><b><v>t</v><c></c></b>u<d></d></a>")
    }

    @Test(
        "What is no path is refused when it is loaded",
        arguments: [
            ("", "byte 0"), ("/a[", "byte 3"), ("//a[@b = 'c]", "byte 9"), ("foo(1)", "unknown function foo()"),
            ("count(//a)", "selects no nodes"), ("/a/other::b", "unknown axis other"), ("!", "byte 0"),
            ("//a[$x]", "byte 4"), ("/a b", "operator expected"), ("count(1) | //a", "do"), ("//", "byte 2"),
            ("//a[concat('x')]", "these arguments"),
            (String(repeating: "//a[", count: 60), "nested too deep"),
        ])
    func refused(_ path: String, _ part: String) throws {
        let error = #expect(throws: OTTLError.self, "\(path)") { try XPathParser.nodes(path) }
        #expect(error?.message.contains(part) == true, "\(path): \(error?.message ?? "")")
    }

    @Test("A hostile document costs no more than its share")
    func hostile() throws {
        let wide = "<a>" + String(repeating: "<b/>", count: 20_000) + "</a>"
        #expect(throws: OTTLError.self) { try Self.text("GetXML", wide, "//b[preceding::b[following::b]]") }
        #expect(throws: OTTLError.self) { try Self.text("GetXML", String(repeating: "<a>", count: 5000), "//a") }
        let many = "<a>" + String(repeating: "<b/>", count: XMLReader.maximumCount) + "</a>"
        #expect(throws: OTTLError.self) { try XMLReader.document(Array(many.utf8)) }
        #expect(throws: OTTLError.self) { try Self.text("GetXML", "<!DOCTYPE a SYSTEM 'f'><a>&e;</a>", "/a") }
    }
}
