import Compression
import ComponentKit
import Essentials
import Glibc
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.exporter.file")
struct ExporterFileTests {
    /// A directory that goes with the test.
    private final class Directory {
        let path: String

        init() { path = ComponentHarness.makeTemporaryDirectory() }

        var names: [String] {
            guard let stream = opendir(path) else { return [] }
            defer { closedir(stream) }
            var names: [String] = []
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if !name.hasPrefix(".") { names.append(name) }
            }
            return names.sorted()
        }

        func text(_ name: String) -> String { (try? Files.readText("\(path)/\(name)", limit: .mebibytes(10))) ?? "" }

        deinit {
            for name in names { unlink("\(path)/\(name)") }
            rmdir(path)
        }
    }

    private func run(_ body: String, _ batches: [OTLPBatch]) throws {
        let harness = ComponentHarness(OtelcolExporterFile.self)
        #expect(harness.start(body) == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        for batch in batches { try harness.send(batch) }
        #expect(harness.finish() == [])
    }

    @Test("A batch is a line of OTLP/JSON; the file is begun anew unless it is to be appended to")
    func lines() throws {
        let directory = Directory()
        let path = "path = \"\(directory.path)/out.json\""
        try run(path, [PipelineTests.logs(["a"]), PipelineTests.logs(["b", "c"])])
        let lines = directory.text("out.json").split(separator: "\n")
        #expect(lines.count == 2)
        let read = try lines.map { try OTLPSample.batch(.logs, String($0)) }
        #expect(PipelineTests.lines(read) == ["a", "b", "c"])
        try run(path + "\nappend = true", [PipelineTests.logs(["d"])])
        #expect(directory.text("out.json").split(separator: "\n").count == 3)
        try run(path, [])
        #expect(directory.text("out.json") == "")
    }

    @Test("Protobuf has its length in front, compressed or not")
    func protobuf() throws {
        for compression in ["", "\ncompression = \"zstd\"\ncompression_params { level = 6 }"] {
            let directory = Directory()
            try run(
                "path = \"\(directory.path)/out\"\nformat = \"proto\"" + compression,
                [PipelineTests.logs(["a"]), PipelineTests.logs(["b"])])
            var bytes = try Files.read("\(directory.path)/out", limit: .mebibytes(1))[...]
            var read: [OTLPBatch] = []
            while bytes.count > 4 {
                let count = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
                var message = Array(bytes.dropFirst(4).prefix(count))
                if !compression.isEmpty { message = try Zstandard.decompress(message, limit: 1 << 20) }
                read.append(try OTLPScanner.batch(message, as: .logs))
                bytes = bytes.dropFirst(4 + count)
            }
            #expect(PipelineTests.lines(read) == ["a", "b"])
        }
    }

    @Test("A full file is renamed by the time, and only so many old ones are kept")
    func rotation() throws {
        let directory = Directory()
        let line = String(repeating: "x", count: 300_000)
        let harness = ComponentHarness(OtelcolExporterFile.self)
        #expect(
            harness.start("path = \"\(directory.path)/out.json\"\nrotation {\nmax_megabytes = 1\nmax_backups = 2\n}")
                == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        for _ in 0..<14 {
            try harness.send(PipelineTests.logs([line]))
            harness.advance(by: .milliseconds(10))
        }
        #expect(harness.finish() == [])
        #expect(directory.names.count == 3, "\(directory.names)")
        #expect(directory.names.allSatisfy { $0 == "out.json" || $0.hasPrefix("out-2023-11-14T22-13-20.") })
        #expect(directory.text("out.json").split(separator: "\n").count == 2)
    }

    @Test("Resources go to files of their own; names that lead elsewhere are refused")
    func groups() throws {
        let directory = Directory()
        let harness = ComponentHarness(OtelcolExporterFile.self)
        #expect(
            harness.start(
                "path = \"\(directory.path)/*.json\"\ngroup_by {\nenabled = true\nresource_attribute = \"service.name\"\nmax_open_files = 1\n}"
            ) == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        for service in ["a", "b", "a"] {
            try harness.send(OTLPSample.metric("m", "gauge", "{\"asInt\":\"1\"}", service: service))
        }
        #expect(throws: DeliveryError.self) {
            try harness.send(OTLPSample.metric("m", "gauge", "{\"asInt\":\"1\"}", service: "../x"))
        }
        #expect(harness.finish() == [])
        #expect(directory.names == ["a.json", "b.json"])
        #expect(directory.text("a.json").split(separator: "\n").count == 2)
    }

    @Test(
        "Arguments that contradict themselves are refused",
        arguments: [
            "path = \"\"", "path = \"x\"\nformat = \"xml\"", "path = \"x\"\ncompression = \"gzip\"",
            "path = \"x\"\nappend = true\nrotation {}", "path = \"x\"\nflush_interval = \"0s\"",
            "path = \"x\"\nencoding = \"otlp\"",
            "path = \"x\"\ngroup_by { enabled = true }", "path = \"x\"\ncompression_params { level = 3 }",
        ])
    func refused(body: String) {
        #expect(ComponentHarness(OtelcolExporterFile.self).start(body) != [])
    }
}

@Suite("otelcol.exporter.syslog")
struct ExporterSyslogTests {
    private func message(_ record: String, _ format: SyslogFormat, counts: Bool = false) throws -> String {
        let batch = try OTLPSample.batch(.logs, "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[\(record)]}]}]}")
        var text = ""
        let walker = OTLPWalker()
        try walker.walk(batch, to: .item) { level in
            if level == .item {
                text = String(decoding: format.message(walker.logRecord, countsOctets: counts), as: UTF8.self)
            }
            return .keep
        }
        return text
    }

    private let record = """
        {"timeUnixNano":"1700000000123000000","attributes":[{"key":"appname","value":{"stringValue":"my app"}},
        {"key":"priority","value":{"intValue":"34"}},{"key":"hostname","value":{"stringValue":"h"}},
        {"key":"message","value":{"stringValue":"two\\nlines"}},{"key":"structured_data","value":{"kvlistValue":{"values":[
        {"key":"id@1","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"a\\"]"}}]}}},
        {"key":"e","value":{}}]}}}]}
        """

    @Test("Both formats, with what is missing filled in, and with the length in front")
    func formats() throws {
        let full = "<34>1 2023-11-14T22:13:20.123Z h my_app - - [id@1 k=\"a\\\"\\]\"][e] two#012lines\n"
        #expect(try message(record, .rfc5424) == full)
        #expect(try message(record, .rfc3164) == "<34>Nov 14 22:13:20 h my app: two#012lines\n")
        let counted = full.replacing("#012", with: "\n")
        #expect(try message(record, .rfc5424, counts: true) == "\(counted.utf8.count) \(counted)")
        #expect(try message("{}", .rfc5424) == "<165>1 1970-01-01T00:00:00Z - - - - -\n")
        #expect(try message("{}", .rfc3164) == "<165>Jan 01 00:00:00 - \n")
    }

    @Test(
        "Arguments that contradict themselves are refused",
        arguments: [
            "endpoint = \"h\"\nport = 0", "endpoint = \"h\"\nnetwork = \"unix\"", "endpoint = \"h\"\nprotocol = \"x\"",
            "endpoint = \"h\"\nprotocol = \"rfc3164\"\nenable_octet_counting = true", "endpoint = \"\"",
        ])
    func refused(body: String) {
        #expect(ComponentHarness(OtelcolExporterSyslog.self).start(body) != [])
    }
}

@Suite("otelcol.auth.sigv4")
struct AuthSigV4Tests {
    @Test(
        "Service and region are read off the host",
        arguments: [
            ("aps-workspaces.us-west-2.amazonaws.com", "aps", "us-west-2"),
            ("search-my-domain.us-east-1.es.amazonaws.com", "es", "us-east-1"),
            ("xray.eu-west-1.amazonaws.com", "xray", "eu-west-1"),
            ("example.com", "", ""), ("aps-workspaces.us-west-2.example.com", "", ""),
        ])
    func hosts(host: String, service: String, region: String) {
        #expect(AWSHost(host).service == service && AWSHost(host).region == region)
    }
}
