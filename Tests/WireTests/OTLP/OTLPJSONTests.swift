import Telemetry
import Testing
import Wire

@Suite("OTLPJSON")
struct OTLPJSONTests {
    private func json(_ bytes: [UInt8], _ kind: OTLPBatch.Kind) -> String {
        String(decoding: bytes.withUnsafeBytes { OTLPJSON.encode($0, of: kind) }, as: UTF8.self)
    }

    private func protobuf(_ text: String, _ kind: OTLPBatch.Kind) throws -> [UInt8] {
        try Array(text.utf8).withUnsafeBytes { try OTLPJSON.decode($0, as: kind) }
    }

    @Test("Requests survive the way to JSON and back", arguments: OTLPBatch.Kind.allCases)
    func roundTrip(_ kind: OTLPBatch.Kind) throws {
        let bytes: [UInt8] =
            switch kind {
            case .traces: Samples.spans()
            case .metrics: Samples.metrics()
            case .logs: Samples.logs()
            }
        let text = json(bytes, kind)
        let back = try protobuf(text, kind)
        #expect(json(back, kind) == text)
        let batch = try OTLPScanner.batch(back, as: kind)
        #expect(try lines(batch) == lines(OTLPScanner.batch(bytes, as: kind)))
    }

    @Test("IDs are hexadecimal, large integers text, enumerations numbers or names, unknown fields ignored")
    func reading() throws {
        let bytes = try protobuf(
            """
            {"resourceSpans": [{"resource": {"attributes": [{"key": "n", "value": {"intValue": "9007199254740993"}}]},
              "scopeSpans": [{"spans": [
                {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "name": "a",
                 "kind": "SPAN_KIND_CLIENT", "start_time_unix_nano": 1544712660000000000, "future": {"x": [1]},
                 "status": {"code": 2}, "traceState": null}]}]}]}
            """, .traces)
        #expect(try OTLPScanner.batch(bytes, as: .traces).itemCount == 1)
        #expect(
            json(bytes, .traces) == """
                {"resourceSpans":[{"resource":{"attributes":[{"key":"n","value":{"intValue":"9007199254740993"}}]},\
                "scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",\
                "name":"a","kind":3,"startTimeUnixNano":"1544712660000000000","status":{"code":2}}]}]}]}
                """)
    }

    @Test("Values of every kind, histograms and summaries are written as the specification says")
    func values() throws {
        let text = """
            {"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","exponentialHistogram":{"dataPoints":[\
            {"attributes":[{"key":"l","value":{"arrayValue":{"values":[{"boolValue":false},{"bytesValue":"AQI="},\
            {"kvlistValue":{"values":[{"key":"d","value":{"doubleValue":0}}]}}]}}}],"count":"3","sum":1.5,"scale":-2,\
            "positive":{"offset":-1,"bucketCounts":["1","2"]},"zeroThreshold":0.25}],"aggregationTemporality":2}},\
            {"name":"s","summary":{"dataPoints":[{"count":"1","quantileValues":[{"quantile":0.5,"value":2}]}]}},\
            {"name":"b","histogram":{"dataPoints":[{"count":"2","bucketCounts":["0","2"],"explicitBounds":[1.5],\
            "min":0}]}},{"name":"g","gauge":{"dataPoints":[{"asDouble":"NaN"},{"asInt":"-5"}]}}]}]}]}
            """
        #expect(json(try protobuf(text, .metrics), .metrics) == text)
    }

    @Test("What is no OTLP/JSON is refused")
    func malformed() {
        for text in [
            "", "[", "{\"resourceLogs\": {}}", "[]",
            "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"traceId\":\"xyz\"}]}]}]}",
            "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"soon\"}]}]}]}",
            "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"severityNumber\":\"LOUD\"}]}]}]}",
            String(repeating: "{\"resourceLogs\":[", count: 1000),
        ] {
            #expect(throws: OTLPJSONError.self, "\(text.prefix(80))") { try protobuf(text, .logs) }
        }
    }

    @Test("Partial success is read in both encodings")
    func responses() {
        let response = OTLPResponse(rejectedItems: 3, errorMessage: "too old")
        #expect(OTLPResponse(decoding: response.encoded) == response)
        #expect(OTLPResponse(json: response.json(.logs), .logs) == response)
        #expect(
            String(decoding: response.json(.traces), as: UTF8.self)
                == "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"too old\"}}")
        #expect(OTLPResponse().encoded.isEmpty)
        #expect(OTLPResponse(decoding: [0xFF, 0xFF]) == OTLPResponse())
    }
}
