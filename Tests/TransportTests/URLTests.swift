import Testing

@testable import Transport

extension TransportTests {
    @Suite("URLs, addresses and encodings")
    struct URLTests {
        @Test(
            "A URL is read into its parts",
            arguments: [
                ("http://a", "http", "a", 80, "/", "a", nil as String?),
                ("HTTPS://A.b:8443/p?q=1#f", "https", "a.b", 8443, "/p?q=1", "a.b:8443", nil),
                ("http://u:p%40@h:80/x", "http", "h", 80, "/x", "h", "u/p@"),
                ("http://[::1]:9/", "http", "::1", 9, "/", "[::1]:9", nil),
                ("http://h?x", "http", "h", 80, "/?x", "h", nil),
            ])
        func parsing(
            text: String, scheme: String, host: String, port: Int, target: String, authority: String, user: String?
        ) throws {
            let url = try #require(HTTPURL(text))
            #expect(url.scheme == scheme)
            #expect(url.host == host)
            #expect(url.port == port)
            #expect(url.target == target)
            #expect(url.authority == authority)
            #expect(url.user.map { "\($0)/\(url.password ?? "")" } == user)
            #expect(!url.text.contains("p@"))
        }

        @Test(
            "What is no URL is refused",
            arguments: [
                "", "a", "/a", "http:/a", "http://", "http://a:99999", "http://a:x", "http://a b", "http://[::1",
                "http://a\r\n",
                "://a", "ftp://a", "http://[1.2.3.4]/",
            ])
        func refusing(text: String) { #expect(HTTPURL(text) == nil) }

        @Test(
            "A location is resolved against the URL it came from",
            arguments: [
                ("/x", "http://h/x"), ("y", "http://h/a/y"), ("../y", "http://h/y"), ("../../../y", "http://h/y"),
                ("?z=1", "http://h/a/b?z=1"), ("//o/p", "http://o/p"), ("https://s/", "https://s/"),
                ("./c/./d", "http://h/a/c/d"),
                ("/x#f", "http://h/x"), ("a?b=http://c", "http://h/a/a?b=http://c"),
            ])
        func resolving(reference: String, expected: String) {
            #expect(HTTPURL("http://h/a/b?q")?.resolving(reference)?.text == expected)
        }

        @Test(
            "An address is read as host and port or as a path",
            arguments: [
                ("0.0.0.0:80", "0.0.0.0:80"), (":9", ":9"), ("[::]:1", "[::]:1"), ("h:0", "h:0"),
                ("unix:/a", "unix:/a"),
                ("unix:///a/b", "unix:/a/b"), ("a", nil), ("a:", nil), ("a:b", nil), ("a:70000", nil), ("::1:80", nil),
                ("unix:", nil),
                ("a b:1", nil), ("[a]:1", nil),
            ] as [(String, String?)])
        func addresses(text: String, expected: String?) { #expect(SocketAddress(text)?.text == expected) }

        @Test("Percent-encoding and Base64 survive a round trip and broken input")
        func encodings() {
            #expect(Percent.decode("a%2fb%zz%4") == "a/b%zz%4")
            #expect(Percent.decode("a+b") == "a+b")
            #expect(Percent.encode("a b/ü", keeping: "/") == "a%20b/%C3%BC")
            #expect(Percent.form([("a b", "c&d"), ("e", "+")]) == "a+b=c%26d&e=%2B")
            #expect(QueryItems("a=1&b&a=%32&=x").values("a") == ["1", "2"])
            for text in ["", "f", "fo", "foo", "foob"] {
                #expect(Base64.decode(Base64.encode(Array(text.utf8))) == Array(text.utf8))
            }
            #expect(Base64.encode(Array("foob".utf8)) == "Zm9vYg==")
            #expect(Base64.decode("Zm9$") == nil)
            #expect(Base64.decode("Z") == nil)
        }
    }
}
