import AlloySyntax
import Testing

@Suite struct JSONPathTests {
    private let store = """
        {"store": {"book": [
          {"category": "reference", "author": "Rees", "title": "Sayings", "price": 8.95},
          {"category": "fiction", "author": "Waugh", "title": "Sword", "price": 12.99},
          {"category": "fiction", "author": "Melville", "title": "Moby", "isbn": "0-553", "price": 8.99},
          {"category": "fiction", "author": "Tolkien", "title": "Rings", "isbn": "0-395", "price": 22}],
          "bicycle": {"color": "red", "price": 20}}, "max": 10, "a-b": 1}
        """

    private func select(_ document: String, _ path: String) throws -> String {
        let value = try evaluate("json_path(document, path)", ["document": .string(document), "path": .string(path)])
        return try compact(value)
    }

    private func compact(_ value: Value) throws -> String {
        let text = try evaluate("encoding.to_json({v = value})", ["value": value])
        guard case .string(let json) = text else { return "" }
        return String(json.dropFirst(5).dropLast())
    }

    @Test(
        "Paths select what they name",
        arguments: [
            ("$.store.bicycle.color", #"["red"]"#), ("store.bicycle.color", #"["red"]"#), (".max", "[10]"),
            ("$['a-b']", "[1]"), ("$[\"max\"]", "[10]"), ("$.nothing", "[]"),
            ("$.store.book[0].title", #"["Sayings"]"#),
            ("$.store.book[-1].title", #"["Rings"]"#), ("$.store.book[9].title", "[]"),
            ("$.store.book[0,2].title", #"["Sayings","Moby"]"#), ("$.store.book[1:3].title", #"["Sword","Moby"]"#),
            ("$.store.book[::2].title", #"["Sayings","Moby"]"#), ("$.store.book[:2].title", #"["Sayings","Sword"]"#),
            ("$.store.book[-2:].title", #"["Moby","Rings"]"#), ("$.store.book[3:0:-2].title", #"["Rings","Sword"]"#),
            ("$.store.book[0]['title','price']", #"["Sayings",8.95]"#),
            ("$.store.book[*].price", "[8.95,12.99,8.99,22]"), ("$.store.*.color", #"["red"]"#),
            ("$..color", #"["red"]"#), ("$..price", "[20,8.95,12.99,8.99,22]"), ("$..book[2].author", #"["Melville"]"#),
            ("$.store.book[?(@.price < 10)].title", #"["Sayings","Moby"]"#),
            ("$.store.book[?(@.price < $.max)].title", #"["Sayings","Moby"]"#),
            ("$.store.book[?(@.isbn)].title", #"["Moby","Rings"]"#),
            ("$.store.book[?@.isbn].title", #"["Moby","Rings"]"#),
            ("$.store.book[?(!@.isbn)].title", #"["Sayings","Sword"]"#),
            ("$.store.book[?(@.price == 22.0)].title", #"["Rings"]"#),
            ("$.store.book[?(@.author == 'Rees' || @.price > 20)].title", #"["Sayings","Rings"]"#),
            ("$.store.book[?(@.category == 'fiction' && @.price < 10)].title", #"["Moby"]"#),
            ("$.store.book[?(@.author != 'Rees' && (@.isbn has false))].title", #"["Sword"]"#),
            ("$.store.book[?(@.author =~ /^T.*n$/)].title", #"["Rings"]"#),
            ("$.store.book[?(@.author ~= 'e{2}')].title", #"["Sayings"]"#),
            ("$.store.book[?(match(@.title, 'S.*'))].title", #"["Sayings","Sword"]"#),
            ("$.store.book[?(search(@.title, 'o'))].title", #"["Sword","Moby"]"#),
            ("$.store.book[?(length(@.title) == 4)].title", #"["Moby"]"#),
            ("$.store[?(count(@.*) == 2)].color", #"["red"]"#),
            ("$.store.book[?(@.price * 2 + 2 == 46)].title", #"["Rings"]"#),
            ("$.store.book[?(@.price in [22, 8.95])].title", #"["Sayings","Rings"]"#),
            ("$.store.book[?(@.x == Nothing)].author", #"["Rees","Waugh","Melville","Tolkien"]"#),
            ("$.store.book[?(@.author empty false)].price", "[8.95,12.99,8.99,22]"),
            ("$.store.book[?(@.price / 0 == 1)]", "[]"),
        ])
    func selecting(_ path: String, _ expected: String) throws {
        #expect(try select(store, path) == expected)
    }

    @Test("The root and small documents")
    func small() throws {
        #expect(
            try select(#"[{"name":"IT","value":1},{"name":"X","value":2}]"#, "[?(@.name == \"IT\")].value") == "[1]")
        #expect(try select("[1,[2,[3]]]", "$..") == "[1,[2,[3]],2,[3],3,[1,[2,[3]]]]")
        #expect(try select("{\"a\": null}", "$.a") == "[null]")
        #expect(try select("5", "$") == "[5]")
        #expect(try select("5", "$.a") == "[]")
        #expect(try select("[1, 2.5, 9007199254740993]", "$[*]") == "[1,2.5,9007199254740993]")
        #expect(try select("{\"a\": {\"b\": [{\"c\": 1}]}}", "$.a.b[0].c") == "[1]")
        #expect(try select("{\"key\": 1}", "") == "[]")
    }

    @Test(
        "Malformed paths are refused",
        arguments: [
            "$.", "$[", "$[0", "$['a", "$[a]", "$[?(", "$[?(@.a ==)]", "$[?(@.a == 1)", "$[?(@.a ? 1)]", "$[0,]",
            "$[(1)]",
            "a b", "$.a-b", "$[?(@ =~ /(/)]", "$[99999999999999999999]", "$['\\q']", "$['\\u12", "$[?(foo)]", "]", "$$",
            "$[?(count(1))]", "$[?(length(@.a)]", "$[1:2:3:4]",
        ])
    func malformed(_ path: String) throws {
        let message = try problem("json_path(\"{}\", path)", ["path": .string(path)])
        #expect(message.hasPrefix("1:1: json_path "), "\(path): \(message)")
    }

    @Test("Hostile paths and documents end in an error, not in a crash or a long wait")
    func hostile() throws {
        func message(_ document: String, _ path: String) throws -> String {
            try problem("json_path(d, p)", ["d": .string(document), "p": .string(path)])
        }
        let wide = "[" + Array(repeating: "[1,2,3,4,5,6,7,8,9]", count: 400).joined(separator: ",") + "]"
        let many = String(repeating: "..*", count: 12)
        let deep = String(repeating: "[", count: 300) + String(repeating: "]", count: 300)
        #expect(try message(deep, "$" + many).contains("the path visits too many values"))
        let product = "[?(@[*] + @[*] + @[*] + @[*] + @[*] + @[*] == 1000)]"
        #expect(try message(wide, product).contains("the filter compares too many values"))
        #expect(try message("{", "$").hasPrefix("1:1: json_path "))
        #expect(try message("{}", "$" + String(repeating: "[?(@", count: 5_000)).contains("nested too deeply"))
        #expect(try message("{}", "$[?(" + String(repeating: "(", count: 50_000)).contains("nested too deeply"))
        #expect(try message("{}", "$[?(" + String(repeating: "!", count: 50_000)).contains("nested too deeply"))
        let bytes = (0..<256).map { String(UnicodeScalar(UInt8($0))) }
        for first in bytes {
            for second in ["", "[", "'", "?", ".", "("] {
                _ = try message("{\"a\": [1]}", "$[?(@" + first + second)
                _ = try message("{\"a\": [1]}", first + second)
                _ = try message("{\"a\": [1]}", "$[" + first + second)
            }
        }
    }
}
