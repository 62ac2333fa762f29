import Testing
import Wire

@testable import OTTL

@Suite("OTTL span names")
struct SpanNameTests {
    @Test(
        "Spans are named by their kind and attributes",
        arguments: [
            (2, "", "GET"), (2, "http.route=/users/{id}", "GET /users/{id}"),
            (3, "url.template=/u/{id}", "GET /u/{id}"),
            (1, "http.route=/users/{id}", "GET /users/1234"), (4, "", "GET /users/1234"),
            (2, "http.method= rpc.system=grpc rpc.service=Shop rpc.method=Buy", "Shop/Buy"),
            (3, "http.method= rpc.system=grpc rpc.service=Shop", "Shop/*"),
            (3, "http.method= rpc.system.name=grpc", "grpc"),
            (3, "http.method= db.system=postgresql db.operation=SELECT db.name=shop", "SELECT shop"),
            (3, "http.method= db.system.name=mysql db.namespace=shop db.collection.name=users", "shop.users"),
            (3, "http.method= db.system=mysql db.query.summary=SELECT", "SELECT"),
            (3, "http.method= db.system=redis server.address=cache server.port=6379", "cache:6379"),
            (
                5, "messaging.system=kafka messaging.operation.name=poll messaging.destination.name=orders",
                "poll orders"
            ),
            (4, "messaging.system=kafka messaging.destination.template=o-{n}", "o-{n}"),
            (4, "messaging.system=kafka", "kafka"),
        ])
    func names(_ kind: Int, _ attributes: String, _ expected: String) throws {
        var statements = ["set(kind, \(kind))"]
        for pair in attributes.split(separator: " ") {
            let parts = pair.split(separator: "=")
            statements.append(
                parts.count == 1
                    ? "delete_key(attributes, \"\(parts[0])\")" : "set(attributes[\"\(parts[0])\"], \"\(parts[1])\")")
        }
        statements.append("set_semconv_span_name(\"1.37.0\", \"old\")")
        let result = try Fixture.run(statements, on: Fixture.traces(), in: .span)
        #expect(try Fixture.value("name", of: result, in: .span) == .string(Array(expected.utf8)))
        let old: OTLPAnyValue = expected == "GET /users/1234" ? .empty : "GET /users/1234"
        #expect(try Fixture.value("attributes[\"old\"]", of: result, in: .span) == old)
    }

    @Test("Versions whose names are others are refused")
    func versions() throws {
        for version in ["1.37.0", "v1.38", "1.40.0"] {
            _ = try OTTLStatement("set_semconv_span_name(\"\(version)\")", in: .span)
        }
        for version in ["", "1.36.9", "1.40.1", "2.0.0", "1.38.0-rc", "x"] {
            #expect(throws: OTTLError.self, "\(version)") {
                try OTTLStatement("set_semconv_span_name(\"\(version)\")", in: .span)
            }
        }
        #expect(throws: OTTLError.self) { try OTTLStatement("set_semconv_span_name(\"1.37.0\", \"\")", in: .span) }
    }
}
