import Telemetry
import Testing
import Wire

@Suite("OTLPLines")
struct OTLPLinesTests {
    private func lines(_ json: String, _ kind: OTLPBatch.Kind, limit: Int = 10) throws -> [String] {
        let bytes = try Array(json.utf8).withUnsafeBytes { try OTLPJSON.decode($0, as: kind) }
        var lines: [String] = []
        let shown = OTLPLines.forEachItem(of: try OTLPScanner.batch(bytes, as: kind), upTo: limit) { lines.append($0) }
        #expect(shown == lines.count)
        return lines
    }

    @Test("Log records with time, severity, body, attributes, resource and scope; no more than asked for")
    func logs() throws {
        let request = """
            {"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
              "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": [
                {"timeUnixNano": "1544712660000000000", "severityText": "WARN", "body": {"stringValue": "<b>one"},
                 "attributes": [{"key": "n", "value": {"intValue": "7"}},
                   {"key": "l", "value": {"arrayValue": {"values": [{"boolValue": true}, {"stringValue": "x"}]}}}]},
                {"body": {"kvlistValue": {"values": [{"key": "k", "value": {"doubleValue": 1.5}}]}}}]}]}]}
            """
        let first = "2018-12-13T14:51:00Z WARN <b>one n=7 l=[true,x] resource={service.name=shop} scope=lib"
        #expect(
            try lines(request, .logs) == [first, "{k:1.5} resource={service.name=shop} scope=lib"])
        #expect(try lines(request, .logs, limit: 1) == [first])
    }

    @Test("Spans with their IDs, how long they took and why they failed")
    func traces() throws {
        #expect(
            try lines(
                """
                {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "5b8efff798038103d269b633813fc60c",
                  "spanId": "eee19b7ec3c1b174", "parentSpanId": "eee19b7ec3c1b173", "name": "GET /", "kind": 2,
                  "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712660012000000",
                  "status": {"code": 2, "message": "no"}}]}]}]}
                """, .traces) == [
                    "GET / trace=5b8efff798038103d269b633813fc60c span=eee19b7ec3c1b174 parent=eee19b7ec3c1b173 "
                        + "start=2018-12-13T14:51:00Z took=12.0ms error=\"no\""
                ])
    }

    @Test("Data points, each with its metric's name")
    func metrics() throws {
        #expect(
            try lines(
                """
                {"resourceMetrics": [{"scopeMetrics": [{"metrics": [
                  {"name": "g", "gauge": {"dataPoints": [{"asInt": "3", "timeUnixNano": "1"},
                    {"asDouble": 0.5, "timeUnixNano": "1", "attributes": [{"key": "a", "value": {"stringValue": "b"}}]}]}},
                  {"name": "h", "histogram": {"dataPoints": [{"count": "4", "sum": 2.5, "timeUnixNano": "1"}]}}]}]}]}
                """, .metrics) == ["g{} 3", "g{a=b} 0.5", "h{} count=4 sum=2.5"])
    }
}
