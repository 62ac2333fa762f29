import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

private func harness(_ type: any Component.Type, _ body: String) -> ComponentHarness {
    let harness = ComponentHarness(type)
    #expect(harness.start(body + "\noutput { metrics = [recorder.otlp] }") == [])
    return harness
}

private func attribute(_ key: String, _ value: String) -> String { "{\"key\":\"\(key)\",\"value\":{\(value)}}" }
private func text(_ key: String, _ value: String) -> String { attribute(key, "\"stringValue\":\"\(value)\"") }

/// A request of spans of one service.
private func spans(_ service: String, _ spans: [String]) throws -> OTLPBatch {
    try OTLPSample.batch(
        .traces,
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[\(text("service.name", service))]},\"scopeSpans\":[{\"spans\":["
            + spans.joined(separator: ",") + "]}]}]}")
}

private func logs(_ records: [String]) throws -> OTLPBatch {
    try OTLPSample.batch(
        .logs,
        "{\"resourceLogs\":[{\"resource\":{\"attributes\":[\(text("service.name", "shop"))]},\"scopeLogs\":[{\"scope\":"
            + "{\"attributes\":[\(text("scoped", "yes"))]},\"logRecords\":[" + records.joined(separator: ",") + "]}]}]}"
    )
}

/// Every point with its attributes and those of its resource: `name{attributes}[resource] value`.
private func described(_ batches: [OTLPBatch]) -> [String] {
    var lines: [String] = []
    let walker = OTLPWalker()
    func list(_ attributes: OTLPAttributes) -> String {
        attributes.map.entries.map { entry in
            let value =
                switch entry.value {
                case .string(let bytes): String(decoding: bytes, as: UTF8.self)
                case .int(let value): "\(value)"
                case .bool(let value): "\(value)"
                case .double(let value): "\(value)"
                default: "?"
                }
            return "\(String(decoding: entry.key, as: UTF8.self))=\(value)"
        }.joined(separator: ",")
    }
    for batch in batches {
        var points = OTLPSample.points([batch])[...]
        try? walker.walk(batch, to: .point) { level in
            guard level == .point, let point = points.popFirst() else { return .keep }
            let value = point.split(separator: " ", omittingEmptySubsequences: false).dropFirst(
                point.hasPrefix("g ") ? 2 : 3)
            let kind = walker.metric.aggregationTemporality == 2 ? "cumulative " : ""
            let name = String(decoding: walker.metric.name, as: UTF8.self)
            let content =
                walker.metricKind == .gauge
                ? point.split(separator: " ").last.map(String.init) ?? "" : value.joined(separator: " ")
            lines.append(
                "\(kind)\(name){\(list(walker.point.attributes))}[\(list(walker.resource.attributes))] \(content)")
            return .keep
        }
    }
    return lines.sorted()
}

@Suite("otelcol.connector.count")
struct ConnectorCountTests {
    @Test("What has no counters of its own is counted under the usual names")
    func usual() throws {
        let harness = harness(OtelcolConnectorCount.self, "")
        try harness.send(spans("shop", ["{\"events\":[{\"name\":\"a\"},{\"name\":\"b\"}]}", "{}"]))
        try harness.send(logs(["{}", "{}", "{}"]))
        try harness.send(OTLPSample.metric("m", "gauge", "{\"asInt\":\"1\"},{\"asInt\":\"2\"}"))
        #expect(
            described(harness.otlp.take()) == [
                "log.record.count{}[service.name=shop] 3", "metric.count{}[service.name=shop] 1",
                "metric.datapoint.count{}[service.name=shop] 2", "trace.span.count{}[service.name=shop] 2",
                "trace.span.event.count{}[service.name=shop] 2",
            ])
        #expect(harness.finish() == [])
    }

    @Test("Counters have conditions, one of which must hold, and attributes from record, scope, resource or default")
    func counters() throws {
        let harness = harness(
            OtelcolConnectorCount.self,
            """
            logs {
                name        = "errors"
                description = "Failures."
                conditions  = ["severity_number >= 17", "body == \\"fatal\\""]
                attributes { key = "zone" }
                attributes { key = "scoped" }
                attributes { key = "service.name" }
                attributes {
                    key           = "missing"
                    default_value = 7
                }
            }
            logs {
                name = "zoned"
                attributes { key = "zone" }
            }
            """)
        try harness.send(
            logs([
                "{\"severityNumber\":17,\"attributes\":[\(text("zone", "a"))]}",
                "{\"body\":{\"stringValue\":\"fatal\"},\"attributes\":[\(text("zone", "a"))]}",
                "{\"severityNumber\":9,\"attributes\":[\(text("zone", "b"))]}", "{\"severityNumber\":17}",
            ]))
        #expect(
            described(harness.otlp.take()) == [
                "errors{zone=a,scoped=yes,service.name=shop,missing=7}[service.name=shop] 2",
                "zoned{zone=a}[service.name=shop] 2", "zoned{zone=b}[service.name=shop] 1",
            ])
        let statement = harness.instance.ledger.statement
        #expect(statement.incoming == 4 && statement.merged == 4 && statement.created == 3 && statement.outgoing == 3)
        #expect(harness.finish() == [])
    }

    @Test("A refusal reaches the sender, who still has the batch")
    func refusal() throws {
        let harness = harness(OtelcolConnectorCount.self, "")
        harness.otlp.refuse { _ in .retry("away") }
        #expect(throws: DeliveryError.self) { try harness.send(logs(["{}"])) }
        harness.otlp.refuse(nil)
        try harness.send(logs(["{}"]))
        #expect(harness.otlp.itemCount == 1)
        #expect(harness.finish() == [])
    }
}

@Suite("otelcol.connector.signaltometrics")
struct SignalToMetricsTests {
    @Test("Sums, gauges and histograms of values that expressions compute, by attributes and resource")
    func shapes() throws {
        let harness = harness(
            OtelcolConnectorSignalToMetrics.self,
            """
            spans {
                name = "time"
                unit = "us"
                attributes { key = "route" }
                histogram {
                    buckets = [10, 100]
                    value   = "(end_time_unix_nano - start_time_unix_nano) / 1000"
                }
            }
            spans {
                name = "bytes"
                conditions = ["attributes[\\"size\\"] != nil"]
                include_resource_attributes { key = "service.name" }
                sum { value = "attributes[\\"size\\"]" }
            }
            spans {
                name = "sampled"
                sum { value = "AdjustedCount()" }
            }
            spans {
                name = "last"
                gauge { value = "attributes[\\"size\\"]" }
            }
            logs {
                name = "weight"
                exponential_histogram {
                    value = "attributes[\\"w\\"]"
                    count = "attributes[\\"n\\"]"
                }
            }
            error_mode = "silent"
            """)
        func span(_ route: String, microseconds: Int, size: Int?) -> String {
            let size = size.map { "," + attribute("size", "\"intValue\":\"\($0)\"") } ?? ""
            return
                "{\"startTimeUnixNano\":\"1000\",\"endTimeUnixNano\":\"\(1000 + microseconds * 1000)\",\"traceState\":\"ot=th:8\","
                + "\"attributes\":[\(text("route", route))\(size)]}"
        }
        try harness.send(
            spans(
                "shop",
                [
                    span("a", microseconds: 5, size: 3), span("a", microseconds: 50, size: 4),
                    span("b", microseconds: 500, size: nil),
                ]))
        #expect(
            described(harness.otlp.take()) == [
                "bytes{}[service.name=shop] 7", "last{}[service.name=shop] 4", "sampled{}[service.name=shop] 6.0",
                "time{route=a}[service.name=shop] count=2 sum=55.0 [1, 1, 0] [10.0, 100.0] -..-",
                "time{route=b}[service.name=shop] count=1 sum=500.0 [0, 0, 1] [10.0, 100.0] -..-",
            ])
        try harness.send(
            logs([
                "{\"attributes\":[\(attribute("w", "\"doubleValue\":2.5")),\(attribute("n", "\"intValue\":\"3\""))]}",
                "{}",
            ]))
        #expect(described(harness.otlp.take()).first?.hasPrefix("weight{}[service.name=shop] count=3 sum=7.5") == true)
        #expect(harness.finish() == [])
    }

    @Test("An expression that fails refuses the batch unless errors are to be ignored")
    func errors() throws {
        let harness = harness(
            OtelcolConnectorSignalToMetrics.self, "logs {\nname = \"m\"\nsum { value = \"attributes[\\\"x\\\"]\" }\n}")
        #expect(throws: DeliveryError.self) { try harness.send(logs(["{}"])) }
        #expect(harness.finish() == [])
    }

    @Test(
        "A metric needs one shape, and an attribute not two ways to be missing",
        arguments: [
            "logs { name = \"m\" }", "logs {\nname = \"m\"\nsum { value = \"1\" }\ngauge { value = \"1\" }\n}", "",
            "logs {\nname = \"m\"\nsum { value = \"odd(\" }\n}",
            "logs {\nname = \"m\"\nsum { value = \"1\" }\nattributes {\nkey = \"a\"\noptional = true\ndefault_value = 1\n}\n}",
        ])
    func refused(body: String) {
        let harness = ComponentHarness(OtelcolConnectorSignalToMetrics.self)
        #expect(harness.start(body + "\noutput { metrics = [recorder.otlp] }") != [])
    }
}

@Suite("otelcol.connector.servicegraph")
struct ServiceGraphTests {
    private func span(
        _ kind: Int, id: Int, parent: Int? = nil, milliseconds: Int = 100, status: Int = 0, attributes: String = ""
    ) -> String {
        func hex(_ id: Int) -> String { String(repeating: "0", count: 15) + "\(id)" }
        let parent = parent.map { "\"parentSpanId\":\"\(hex($0))\"," } ?? ""
        return
            "{\"traceId\":\"\(String(repeating: "1", count: 32))\",\"spanId\":\"\(hex(id))\",\(parent)\"kind\":\(kind),"
            + "\"startTimeUnixNano\":\"1000000000\",\"endTimeUnixNano\":\"\(1_000_000_000 + milliseconds * 1_000_000)\","
            + "\"status\":{\"code\":\(status)},\"attributes\":[\(attributes)]}"
    }

    private let plain = "client=front,server=back,connection_type=,failed=false"

    @Test("Both sides of a call, in any order, make a series with the times of either side")
    func calls() throws {
        let harness = harness(OtelcolConnectorServiceGraph.self, "latency_histogram_buckets = [\"50ms\", \"150ms\"]")
        try harness.send(spans("front", [span(3, id: 1, milliseconds: 200)]))
        try harness.send(spans("back", [span(2, id: 2, parent: 1), span(2, id: 4, parent: 3, status: 2)]))
        try harness.send(spans("front", [span(3, id: 3, milliseconds: 10)]))
        harness.advance(by: .seconds(61))
        let failed = plain.replacing("failed=false", with: "failed=true")
        #expect(
            described(harness.otlp.take()) == [
                "cumulative traces_service_graph_request_client_seconds{\(plain)}[] count=1 sum=0.2 [0, 0, 1] [0.05, 0.15] -..-",
                "cumulative traces_service_graph_request_client_seconds{\(failed)}[] count=1 sum=0.01 [1, 0, 0] [0.05, 0.15] -..-",
                "cumulative traces_service_graph_request_failed_total{\(failed)}[] 1",
                "cumulative traces_service_graph_request_server_seconds{\(plain)}[] count=1 sum=0.1 [0, 1, 0] [0.05, 0.15] -..-",
                "cumulative traces_service_graph_request_server_seconds{\(failed)}[] count=1 sum=0.1 [0, 1, 0] [0.05, 0.15] -..-",
                "cumulative traces_service_graph_request_total{\(plain)}[] 1",
                "cumulative traces_service_graph_request_total{\(failed)}[] 1",
            ])
        #expect(harness.metric("otelcol_connector_servicegraph_total_edges_total") == 2)
        #expect(harness.finish() == [])
    }

    private func totals(_ harness: ComponentHarness) -> [String] {
        described(harness.otlp.take()).filter { $0.contains("request_total") }
            .map { String($0.dropFirst("cumulative traces_service_graph_request_total".count)) }
    }

    @Test("Databases, messages, callers and callees that send no spans, and dimensions of either side")
    func kinds() throws {
        let harness = harness(
            OtelcolConnectorServiceGraph.self, "dimensions = [\"zone\"]\nvirtual_node_extra_label = true")
        try harness.send(
            spans("front", [span(3, id: 1, attributes: text("db.name", "orders") + "," + text("zone", "a"))]))
        try harness.send(spans("front", [span(4, id: 2)]))
        try harness.send(spans("back", [span(5, id: 3, parent: 2)]))
        try harness.send(spans("web", [span(2, id: 4, attributes: text("zone", "b"))]))
        try harness.send(spans("front", [span(3, id: 5, attributes: text("peer.service", "mail"))]))
        harness.advance(by: .seconds(61))
        #expect(
            totals(harness) == [
                "{client=front,server=back,connection_type=messaging_system,failed=false}[] 1",
                "{client=front,server=mail,connection_type=virtual_node,failed=false,virtual_node=server}[] 1",
                "{client=front,server=orders,connection_type=database,failed=false,client_zone=a}[] 1",
                "{client=user,server=web,connection_type=virtual_node,failed=false,virtual_node=client,server_zone=b}[] 1",
            ])
        #expect(harness.metric("otelcol_connector_servicegraph_expired_edges_total") == 2)
        #expect(harness.finish() == [])
    }

    @Test("More waiting calls than allowed are dropped and counted, and without an interval metrics go with the batch")
    func limits() throws {
        let harness = harness(
            OtelcolConnectorServiceGraph.self, "metrics_flush_interval = \"0s\"\nstore { max_items = 1 }")
        try harness.send(spans("front", [span(3, id: 1), span(3, id: 2)]))
        #expect(harness.instance.ledger.statement.dropped.map { "\($0.rule) \($0.items)" } == ["store 1"])
        try harness.send(spans("back", [span(2, id: 3, parent: 1)]))
        #expect(totals(harness) == ["{\(plain)}[] 1"])
        #expect(harness.finish() == [])
    }
}
