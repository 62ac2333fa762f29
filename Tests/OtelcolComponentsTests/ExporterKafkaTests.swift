import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.exporter.kafka", .timeLimit(.minutes(2)))
struct ExporterKafkaTests {
    private let brokers = "protocol_version = \"2.1.0\"\nbrokers = [\"127.0.0.1:1\"]\n"

    private func logs(client: OTLPClient? = nil) throws -> OTLPBatch {
        var batch = try OTLPSample.batch(
            .logs,
            """
            {"resourceLogs":[
            {"resource":{"attributes":[{"key":"b","value":{"intValue":"1"}},{"key":"a","value":{"stringValue":"x"}}]},
             "scopeLogs":[{"logRecords":[
              {"traceId":"000000000000000000000000000000aa","body":{"stringValue":"one"}},
              {"traceId":"000000000000000000000000000000bb","body":{"bytesValue":"AQI="}}]}]},
            {"resource":{"attributes":[{"key":"a","value":{"stringValue":"x"}},{"key":"b","value":{"intValue":"1"}},
              {"key":"topic","value":{"stringValue":"named"}}]},
             "scopeLogs":[{"logRecords":[
              {"traceId":"000000000000000000000000000000aa","body":{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":true}}]}}},
              {}]}]}]}
            """)
        batch.client = client
        return batch
    }

    private func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    @Test("By trace: a record for each trace with its ID as key, one without a key for the rest")
    func byTrace() throws {
        var route = KafkaRoute(topic: "t")
        route.grouping = .byTrace
        let records = try route.records(for: try logs())
        #expect(records.map(\.topic) == ["t", "t", "t"])
        #expect(
            records.map { text($0.key) } == [
                "000000000000000000000000000000aa", "000000000000000000000000000000bb", nil,
            ])
        #expect(records.map(\.itemCount) == [2, 1, 1])
        let first = try OTLPScanner.batch(records[0].value, as: .logs)
        #expect(first.itemCount == 2)
    }

    @Test("By resource: the key is of the attributes, whatever their order")
    func byResource() throws {
        var route = KafkaRoute(topic: "t")
        route.grouping = .byResource
        let records = try route.records(for: try logs())
        #expect(records.count == 2 && records[0].key?.count == 16)
        #expect(records[0].key != records[1].key)
        let swapped = try OTLPSample.batch(
            .logs,
            """
            {"resourceLogs":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"x"}},
            {"key":"b","value":{"intValue":"1"}}]},"scopeLogs":[{"logRecords":[{}]}]}]}
            """)
        #expect(try route.records(for: swapped).first?.key == records[0].key)
    }

    @Test("Raw: the body of each record, bytes and text as they are, the rest as JSON")
    func raw() throws {
        var route = KafkaRoute(topic: "t")
        route.encoding = .raw
        let records = try route.records(for: try logs())
        #expect(records.map(\.value) == [Array("one".utf8), [1, 2], Array(#"{"k":true}"#.utf8), []])
        #expect(records.allSatisfy { $0.itemCount == 1 && $0.key == nil })
    }

    @Test(
        "Spans: Jaeger's are a record each with the trace ID as key, Zipkin's are lists, without those that have no IDs"
    )
    func spans() throws {
        let batch = try OTLPSample.batch(
            .traces,
            """
            {"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"000000000000000000000000000000aa","spanId":"00000000000000a1"},
            {"traceId":"000000000000000000000000000000bb","spanId":"00000000000000b1"},{}]}]}]}
            """)
        var route = KafkaRoute(topic: "t", encoding: .jaegerProtobuf)
        let jaeger = try route.records(for: batch)
        #expect(jaeger.map { text($0.key) } == ["00000000000000aa", "00000000000000bb", "0000000000000000"])
        #expect(jaeger.allSatisfy { $0.itemCount == 1 && $0.topic == "t" })
        route.encoding = .zipkinJSON
        #expect(try route.records(for: batch).map(\.itemCount) == [2])
        route.grouping = .byTrace
        let zipkin = try route.records(for: batch)
        #expect(zipkin.map(\.itemCount) == [1, 1])
        #expect(text(zipkin[0].value)?.hasPrefix(#"[{"traceId":"00000000000000aa""#) == true)
    }

    @Test("The topic: of the client's metadata, of the attribute, or the one configured; the key of the metadata")
    func topics() throws {
        let client = OTLPClient(
            metadata: [
                OTLPClient.Field(name: "x-topic", values: ["asked"]), OTLPClient.Field(name: "x-key", values: ["k1"]),
            ])
        var route = KafkaRoute(topic: "fixed")
        route.encoding = .otlpJSON
        #expect(try route.records(for: try logs(client: client)).map(\.topic) == ["fixed"])
        route.topicAttribute = "topic"
        #expect(try route.records(for: try logs(client: client)).map(\.topic) == ["named"])
        route.topicMetadata = "X-Topic"
        route.keyMetadata = "x-key"
        let records = try route.records(for: try logs(client: client))
        #expect(records.map(\.topic) == ["asked"] && text(records[0].key) == "k1")
        #expect(text(records[0].value)?.hasPrefix(#"{"resourceLogs":["#) == true)
        #expect(try route.records(for: try logs()).map(\.topic) == ["named"])
    }

    @Test("Partitions take turns, or the one with the least under way is taken")
    func partitions() {
        let chooser = KafkaPartitionChooser()
        let topic = OpaquePointer(bitPattern: 8)!
        #expect((0..<5).map { _ in chooser.next(topic, 3) } == [0, 1, 2, 0, 1])
        let other = OpaquePointer(bitPattern: 16)!
        #expect((0..<4).map { _ in chooser.leastBusy(other, 3) } == [0, 1, 2, 0])
        chooser.finish(other, 2)
        #expect(chooser.leastBusy(other, 3) == 2)
    }

    @Test("No broker: the attempt is over in its time, tried again, and held meanwhile")
    func away() throws {
        let harness = ComponentHarness(OtelcolExporterKafka.self)
        #expect(harness.start(brokers + "timeout = \"50ms\"\nretry_on_failure {\nenabled = false\n}") == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        try harness.send(try logs())
        #expect(harness.settle(until: { harness.metric("otelcol_exporter_send_failed_log_records_total") == 4 }))
        #expect(harness.finish() == [])
    }

    @Test(
        "What the library or the exporter cannot do is refused by name",
        arguments: [
            ("authentication {\nkerberos {\nusername = \"u\"\n}\n}", "set keytab_file"),
            (
                "authentication {\nkerberos {\nusername = \"u;x\"\nuse_keytab = true\nkeytab_file = \"/k\"\n}\n}",
                "letters, digits"
            ),
            (
                "authentication {\nsasl {\nusername = \"u\"\npassword = \"p\"\nmechanism = \"AWS_MSK_IAM_OAUTHBEARER\"\n}\n}",
                "aws_msk"
            ),
            ("traces {\nencoding = \"zipkin_thrift\"\n}", "zipkin_proto"), ("metrics {\nencoding = \"raw\"\n}", "raw"),
            ("logs {\nencoding = \"jaeger_json\"\n}", "which is for traces"),
            ("tls {\nserver_name = \"x\"\n}", "server_name"),
            ("resolve_canonical_bootstrap_servers_only = true", "resolve_canonical_bootstrap_servers_only"),
            ("producer {\ncompression = \"lz4\"\ncompression_params {\nlevel = 3\n}\n}", "lz4 has no levels"),
            ("record_partitioner {\nround_robin = true\nleast_backup = true\n}", "only one of sticky_key"),
            (
                "partition_logs_by_trace_id = true\npartition_logs_by_resource_attributes = true",
                "partition_logs_by_trace_id"
            ),
            (
                "partition_traces_by_id = true\ntraces {\nmessage_key_from_metadata_key = \"k\"\n}",
                "message_key_from_metadata_key"
            ),
        ])
    func refusals(_ body: String, _ word: String) {
        let problems = ComponentHarness(OtelcolExporterKafka.self).evaluate(brokers + body)
        #expect(problems.contains { $0.contains(word) }, "\(problems)")
    }

    @Test("A producer that cannot be made says why, without the password")
    func secrets() throws {
        let body = """
            authentication {
              sasl {
                username  = "u"
                password  = "hush"
                mechanism = "SCRAM-SHA-256"
              }
            }
            tls {
              ca_file = "/nowhere/ca.pem"
            }
            """
        let tree = try Parser.parse(SourceFile(name: "test", bytes: Array((brokers + body).utf8)))
        let decoded = BlockDecoder.decode(OtelcolExporterKafka.Arguments.self, body: tree.body, in: Scope())
        let arguments = try #require(decoded.value)
        let services = ComponentHarness(OtelcolExporterKafka.self).services
        let error = #expect(throws: KafkaError.self) {
            try KafkaProducer(
                arguments.settings.producer, log: .silent, memory: services.budget.account("test"),
                blocking: services.blocking)
        }
        #expect(error?.description.contains("ca.location") == true, "\(String(describing: error))")
        #expect(error?.description.contains("hush") == false)
    }

    @Test("Kerberos: what the arguments say arrives at the library")
    func kerberos() throws {
        let body = """
            authentication {
              kerberos {
                service_name = "broker"
                realm        = "EXAMPLE.ORG"
                use_keytab   = true
                username     = "invar"
                keytab_file  = "/etc/invar.keytab"
              }
            }
            """
        let tree = try Parser.parse(SourceFile(name: "test", bytes: Array((brokers + body).utf8)))
        let decoded = BlockDecoder.decode(OtelcolExporterKafka.Arguments.self, body: tree.body, in: Scope())
        let arguments = try #require(decoded.value)
        let configuration = KafkaConfiguration()
        try configuration.apply(arguments.settings.producer)
        for (name, value) in [
            ("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "GSSAPI"),
            ("sasl.kerberos.service.name", "broker"), ("sasl.kerberos.principal", "invar@EXAMPLE.ORG"),
            ("sasl.kerberos.keytab", "/etc/invar.keytab"),
        ] {
            #expect(configuration.value(of: name) == value, "\(name)")
        }
    }
}
