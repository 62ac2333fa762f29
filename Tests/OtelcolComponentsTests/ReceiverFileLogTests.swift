import AlloySyntax
import ComponentKit
import Compression
import Essentials
import Glibc
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("otelcol.receiver.filelog")
struct ReceiverFileLogTests {
    /// A directory with files, removed in the end.
    final class Directory {
        let path = ComponentHarness.makeTemporaryDirectory()

        deinit {
            for name in (try? Files.list(path)) ?? [] { unlink(path + "/" + name) }
            rmdir(path)
        }

        func write(_ name: String, _ bytes: [UInt8], appending: Bool = true) {
            Self.write(path + "/" + name, bytes, appending: appending)
        }

        static func write(_ path: String, _ bytes: [UInt8], appending: Bool) {
            let flags = O_WRONLY | O_CREAT | (appending ? O_APPEND : O_TRUNC)
            let descriptor = open(path, flags, 0o644)
            _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            close(descriptor)
        }

        func write(_ name: String, _ text: String, appending: Bool = true) {
            write(name, Array(text.utf8), appending: appending)
        }

        func move(_ from: String, _ to: String) { rename(path + "/" + from, path + "/" + to) }
        func copy(_ from: String, _ to: String) throws {
            write(to, try Files.read(path + "/" + from), appending: false)
        }
        func remove(_ name: String) { unlink(path + "/" + name) }
        func exists(_ name: String) -> Bool { Files.exists(path + "/" + name) }
    }

    private func gzip(_ text: String) throws -> [UInt8] {
        var output: [UInt8] = []
        try Gzip().compress(Array(text.utf8), into: &output)
        return output
    }

    private func configuration(_ directory: Directory, _ more: String, _ pattern: String) -> String {
        "include = [\"\(directory.path)/\(pattern)\"]\n\(more)\noutput {\nlogs = [recorder.otlp]\n}"
    }

    private func start(
        _ directory: Directory, _ more: String = "start_at = \"beginning\"", pattern: String = "*.log"
    ) -> ComponentHarness {
        let harness = ComponentHarness(OtelcolReceiverFileLog.self)
        #expect(harness.start(configuration(directory, more, pattern)) == [])
        poll(harness)
        return harness
    }

    /// Lets a few rounds pass, enough for logs that are not whole.
    private func poll(_ harness: ComponentHarness, _ rounds: Int = 8) {
        for _ in 0..<rounds { harness.advance(by: .milliseconds(200)) }
    }

    private func lines(_ harness: ComponentHarness) -> [String] { PipelineTests.lines(harness.otlp.batches) }

    private func problems(_ more: String) -> String {
        let directory = Directory()
        return ComponentHarness(OtelcolReceiverFileLog.self).evaluate(configuration(directory, more, "*"))
            .joined(separator: "\n")
    }

    @Test("Lines as they are written, the unfinished one after a while, with the file's name")
    func lines() throws {
        let directory = Directory()
        directory.write("a.log", "one\r\ntwo\n\n  three")
        let harness = start(directory)
        #expect(lines(harness) == ["one", "two", "three"])
        directory.write("a.log", "\nfour\n")
        poll(harness, 1)
        #expect(lines(harness) == ["one", "two", "three", "four"])
        #expect(StreamReceiverTests.records(harness.otlp.batches).first == #"one 0 {"log.file.name":"a.log"}"#)
        directory.write("b.log", "other\n")
        poll(harness, 1)
        #expect(lines(harness).last == "other")
        #expect(harness.finish() == [])
    }

    @Test("At the end: only what is new, and new files whole")
    func startAtEnd() {
        let directory = Directory()
        directory.write("a.log", "old\n")
        let harness = start(directory, "")
        directory.write("a.log", "new\n")
        directory.write("b.log", "first\n")
        poll(harness, 1)
        #expect(lines(harness) == ["new", "first"])
        #expect(harness.finish() == [])
    }

    @Test("Rotation by renaming, within the pattern and out of it")
    func renaming() {
        let directory = Directory()
        directory.write("a.log", "1\n2\n")
        let harness = start(directory)
        directory.write("a.log", "3\n")
        directory.move("a.log", "a.1.log")
        directory.write("a.log", "4\n")
        poll(harness)
        #expect(lines(harness) == ["1", "2", "3", "4"])
        directory.write("a.log", "5\n6")
        directory.move("a.log", "gone")
        directory.write("gone", "\n7\n")
        directory.write("a.log", "8\n")
        poll(harness)
        #expect(lines(harness).sorted() == ["1", "2", "3", "4", "5", "6", "7", "8"])
        #expect(harness.finish() == [])
    }

    @Test("Rotation by copying and truncating")
    func copyTruncate() throws {
        let directory = Directory()
        directory.write("a.log", "header line\n1\n2\n")
        let harness = start(directory, pattern: "a*")
        directory.write("a.log", "3\n")
        try directory.copy("a.log", "a.log.1")
        poll(harness)
        // A copy of what was read is no new file.
        #expect(lines(harness) == ["header line", "1", "2", "3"])
        directory.write("a.log", "", appending: false)
        directory.write("a.log", "header line\n4\n")
        poll(harness)
        #expect(lines(harness).suffix(2) == ["header line", "4"])
        directory.write("a.log", "5\n")
        // What was not read of the original is read of the copy.
        try directory.copy("a.log", "a.log.2")
        directory.write("a.log", "new\n", appending: false)
        poll(harness)
        #expect(lines(harness).sorted() == ["1", "2", "3", "4", "5", "header line", "header line", "new"])
        #expect(harness.finish() == [])
    }

    @Test("A file that is copied, truncated and written anew while it is read: every line of both, once")
    func truncatedUnderWay() {
        let directory = Directory()
        let number = { (number: Int) in
            String(String(number + 1_000_000).dropFirst()) + String(repeating: "x", count: 80)
        }
        // Several batches; every line of one file stands where one of the other does.
        let before = (0..<10_000).map(number)
        let after = (10_000..<20_000).map(number)
        let text = Array((before.joined(separator: "\n") + "\n").utf8)
        let harness = ComponentHarness(OtelcolReceiverFileLog.self)
        let path = directory.path + "/a.log"
        harness.otlp.refuse { _ in
            // When the first batch is on its way.
            if !Files.exists(path + ".1") {
                Directory.write(path + ".1", text, appending: false)
                Directory.write(path, Array((after.joined(separator: "\n") + "\n").utf8), appending: false)
            }
            return nil
        }
        directory.write("a.log", text)
        #expect(harness.start(configuration(directory, "start_at = \"beginning\"", "a*")) == [])
        poll(harness)
        #expect(lines(harness).sorted() == before + after)
        #expect(harness.finish() == [])
    }

    @Test("Files that begin alike are different files")
    func alike() {
        let directory = Directory()
        let header = String(repeating: "#", count: 2000) + "\n"
        directory.write("a.log", header + "1\n")
        let harness = start(directory)
        directory.write("b.log", header + "2\n")
        poll(harness)
        #expect(lines(harness).filter { $0.count == 1 } == ["1", "2"])
        #expect(harness.finish() == [])

        let short = Directory()
        short.write("a.log", "x\n")
        short.write("b.log", "x\n")
        let same = start(short)
        // Nothing tells them apart yet.
        #expect(lines(same) == ["x"])
        short.write("b.log", "b\n")
        poll(same)
        #expect(lines(same) == ["x", "x", "b"])
        short.write("a.log", "a\n")
        poll(same)
        #expect(lines(same) == ["x", "x", "b", "a"])
        #expect(same.finish() == [])
    }

    @Test("A compressed file that begins alike and goes on differently is another one")
    func compressedOther() throws {
        let directory = Directory()
        let head = "the beginning of both\n"
        directory.write("a.log", head + "1\n2\n")
        let harness = start(
            directory, "start_at = \"beginning\"\ncompression = \"auto\"\nfingerprint_size = \"16B\"", pattern: "*.log*"
        )
        #expect(lines(harness).count == 3)
        directory.remove("a.log")
        directory.write("b.log.gz", try gzip(head + "8\n9\n"))
        poll(harness)
        #expect(lines(harness).suffix(2) == ["8", "9"])
        #expect(harness.finish() == [])
    }

    @Test("A copy that stays behind is none that is new")
    func copies() throws {
        let directory = Directory()
        directory.write("a.log", String(repeating: "line\n", count: 100))
        let harness = start(directory)
        try directory.copy("a.log", "a.bak.log")
        poll(harness)
        directory.write("a.log", "more\n")
        poll(harness)
        #expect(lines(harness).count == 101)
        directory.write("a.bak.log", "other\n")
        poll(harness)
        // Now it is another file.
        #expect(lines(harness).count == 202)
        #expect(harness.finish() == [])
    }

    @Test("Logs of several lines in a large file")
    func manyLogs() {
        let directory = Directory()
        let text = (0..<20_000).map { "#\($0)\n  at \($0)\n" }.joined()
        directory.write("a.log", text)
        let harness = start(directory, "start_at = \"beginning\"\nmultiline {\nline_start_pattern = \"^#\\\\d+\"\n}")
        poll(harness, 20)
        // On a busy machine the disk may take longer than so many rounds.
        let isComplete = { harness.otlp.batches.reduce(0) { $0 + $1.itemCount } >= 20_000 }
        for _ in 0..<30 where !isComplete() {
            _ = harness.settle(until: isComplete, seconds: 1)
            poll(harness, 5)
        }
        #expect(lines(harness) == (0..<20_000).map { "#\($0)\n  at \($0)" })
        #expect(harness.finish() == [])
    }

    @Test("Logs of several lines, encodings, logs that are too long")
    func splitting() {
        let directory = Directory()
        directory.write("a.log", "#1\n x\n#2\n y\n#3")
        let starts = start(directory, "start_at = \"beginning\"\nmultiline {\nline_start_pattern = \"^#\"\n}")
        #expect(lines(starts) == ["#1\n x", "#2\n y", "#3"])
        #expect(starts.finish() == [])

        let wide = Directory()
        wide.write("a.log", "ä1\nb".utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] })
        let utf16 = start(wide, "start_at = \"beginning\"\nencoding = \"utf-16le\"")
        #expect(lines(utf16) == ["ä1", "b"])
        #expect(utf16.finish() == [])

        let long = Directory()
        long.write("a.log", "12345678äbcd\nx\n")
        let cut = start(long, "start_at = \"beginning\"\nmax_log_size = \"9B\"")
        #expect(lines(cut) == ["12345678", "äbcd", "x"])
        #expect(cut.finish() == [])

        let whole = Directory()
        whole.write("a.log", "a\nb\n")
        let nop = start(whole, "start_at = \"beginning\"\nencoding = \"nop\"")
        #expect(nop.otlp.itemCount == 1)
        #expect(nop.finish() == [])

        let large = Directory()
        let line = String(repeating: "x", count: 300_000)
        large.write("a.log", "\(line)\n\(line)\nend\n")
        let big = start(large)
        #expect(lines(big).map(\.count) == [300_000, 300_000, 3])
        #expect(big.finish() == [])
    }

    @Test("Attributes of the file and of the configuration, numbers of records, header lines")
    func attributes() throws {
        let directory = Directory()
        directory.write("a.log", "# env=prod\n# zone=eu\none\ntwo\n")
        let harness = start(
            directory,
            """
            start_at = "beginning"
            include_file_name = false
            include_file_path = true
            include_file_permissions = true
            include_file_owner_name = true
            include_file_owner_group_name = true
            include_file_path_resolved = true
            include_file_name_resolved = true
            include_file_record_number = true
            attributes = {kind = "test", "copy" = "EXPR(body)!"}
            resource = {host = "h"}
            header {
                pattern = "^# "
                metadata_operators = [{type = "regex_parser", regex = "(?P<key>\\\\w+)=(?P<value>\\\\w+)"},
                    {type = "add", field = "attributes.seen", value = true}]
            }
            """)
        #expect(lines(harness) == ["one", "two"])
        let records = StreamReceiverTests.records(harness.otlp.batches)
        for part in [
            #""log.file.path":"\#(directory.path)/a.log""#, #""log.file.permissions":"0644""#, #""kind":"test""#,
            #""copy":"one!""#, #""value":"eu""#, #""seen":true"#, #""log.file.record_number":1"#,
            #""log.file.name_resolved":"a.log""#, #""log.file.owner.name":""#, #""log.file.owner.group.name":""#,
        ] {
            #expect(records[0].contains(part), "\(part) in \(records[0])")
        }
        let walker = OTLPWalker()
        try walker.walk(try #require(harness.otlp.batches.first), to: .resource) { _ in
            #expect(walker.resource.attributes.map["host"] == "h")
            return .keep
        }
        #expect(harness.finish() == [])
    }

    @Test("Operators change, drop and join; what they hold is flushed in time and at the end")
    func operators() throws {
        let directory = Directory()
        directory.write("a.log", "{\"m\":\"x\",\"level\":\"error\"}\nnoise\n")
        let harness = start(
            directory,
            """
            start_at = "beginning"
            operators = [
                {type = "filter", expr = "body == 'noise'"},
                {type = "json_parser", if = "body startsWith '{'", severity = {parse_from = "attributes.level"}},
                {type = "recombine", combine_field = "body", is_first_entry = "body startsWith '{'",
                    source_identifier = "attributes[\\"log.file.name\\"]"},
            ]
            """)
        #expect(lines(harness).isEmpty)
        directory.write("a.log", "more\n")
        poll(harness, 30)
        #expect(
            StreamReceiverTests.records(harness.otlp.batches) == [
                "{\"m\":\"x\",\"level\":\"error\"}\nmore 0 {\"log.file.name\":\"a.log\"}"
            ])
        #expect(harness.instance.ledger.statement.dropped.contains { $0.rule == "operators" && $0.items == 1 })
        directory.write("a.log", "{\"m\":\"y\"}\n")
        poll(harness)
        #expect(lines(harness).count == 1)
        #expect(harness.finish() == [])
        #expect(lines(harness).count == 2)
    }

    @Test("Exclusions, ages, orders, compression, deletion")
    func selection() throws {
        let directory = Directory()
        directory.write("keep.log", "k\n")
        directory.write("drop.log", "d\n")
        let excluding = start(
            directory, "start_at = \"beginning\"\nexclude = [\"\(directory.path)/drop*\"]")
        #expect(lines(excluding) == ["k"])
        #expect(excluding.finish() == [])

        let aged = start(directory, "start_at = \"beginning\"\nexclude_older_than = \"1h\"")
        // The files are newer than the clock of the test.
        #expect(lines(aged).count == 2)
        #expect(aged.finish() == [])

        let ordered = Directory()
        for number in [1, 2, 10] { ordered.write("a.\(number).log", "\(number)\n") }
        let top = start(
            ordered,
            """
            start_at = "beginning"
            ordering_criteria {
                regex = "a\\\\.(?P<n>\\\\d+)\\\\.log"
                top_n = 2
                sort_by {
                    sort_type = "numeric"
                    regex_key = "n"
                }
            }
            """)
        #expect(lines(top).sorted() == ["10", "2"])
        #expect(top.finish() == [])

        let packed = Directory()
        packed.write("a.log", "plain\n")
        packed.write("b.log", try gzip("packed\nrest"))
        let auto = start(packed, "start_at = \"beginning\"\ncompression = \"auto\"")
        #expect(lines(auto).sorted() == ["packed", "plain", "rest"])
        // A file that is compressed after it was read is none that is new.
        packed.write("a.log.gz", try gzip("plain\nlast\n"))
        packed.move("a.log.gz", "c.log")
        packed.remove("a.log")
        poll(auto)
        #expect(lines(auto).sorted() == ["last", "packed", "plain", "rest"])
        #expect(auto.finish() == [])

        let deleted = Directory()
        deleted.write("a.log", "x\ny")
        let deleting = start(deleted, "start_at = \"beginning\"\ndelete_after_read = true")
        #expect(lines(deleting) == ["x", "y"])
        #expect(!deleted.exists("a.log"))
        #expect(deleting.finish() == [])
    }

    @Test("With storage what was delivered is remembered, also of files that were renamed and parts that are held")
    func storage() throws {
        let directory = Directory()
        let stored = Directory()
        let storage = StorageHandler(directory: stored.path)
        let body = configuration(
            directory,
            """
            storage = store
            operators = [{type = "recombine", combine_field = "body", is_last_entry = "body endsWith '.'"}]
            """, "*.log")
        func run(_ work: (ComponentHarness) -> Void) -> [String] {
            let harness = ComponentHarness(
                OtelcolReceiverFileLog.self, variables: ["store": storage.alloyValue])
            #expect(harness.start(body) == [])
            poll(harness)
            work(harness)
            #expect(harness.finish() == [])
            return lines(harness)
        }
        directory.write("a.log", "ignored.\n")
        #expect(
            run { harness in
                directory.write("a.log", "1.\n2\n")
                poll(harness)
            } == ["1."])
        directory.write("a.log", "3.\n")
        directory.move("a.log", "a.1.log")
        directory.write("a.log", "4.\n")
        #expect(run { _ in }.sorted() == ["2\n3.", "4."])
        #expect(run { _ in }.isEmpty)
        // A delivery that does not succeed is not remembered.
        directory.write("a.log", "5.\n")
        #expect(run { $0.otlp.refuse { _ in .retry("later") } }.isEmpty == false)
        directory.write("a.log", "6.\n")
        let refusing = ComponentHarness(OtelcolReceiverFileLog.self, variables: ["store": storage.alloyValue])
        refusing.otlp.refuse { _ in .retry("later") }
        #expect(refusing.start(body) == [])
        poll(refusing)
        #expect(refusing.finish() == [])
        #expect(run { _ in } == ["6."])
        for file in try Files.list(stored.path) {
            for name in try Files.list(stored.path + "/" + file) { unlink(stored.path + "/" + file + "/" + name) }
            rmdir(stored.path + "/" + file)
        }
    }

    @Test("What is remembered is read back, and damage is none")
    func remembered() throws {
        let file = FileLogState.File(
            path: "/a \"b\"", fingerprint: [1, 2, 255], tail: [9], device: .max, inode: 7, position: 40, record: 3)
        #expect(try FileLogState.parse(FileLogState.text([file])) == [file])
        let text = String(decoding: FileLogState.text([file]), as: UTF8.self)
        #expect(try FileLogState.parse(Array(text.replacing("\"position\":40", with: "\"position\":-1").utf8)).isEmpty)
        #expect(throws: (any Error).self) { try FileLogState.parse(Array(text.dropLast(5).utf8)) }
    }

    @Test("Arguments that make no sense are refused by name")
    func refused() {
        for (text, part) in [
            ("start_at = \"middle\"", "start_at"), ("delete_after_read = true", "delete_after_read"),
            ("compression = \"zip\"", "compression"), ("encoding = \"x\"", "encoding"),
            ("max_concurrent_files = 0", "max_concurrent_files"), ("poll_interval = \"-1s\"", "poll_interval"),
            ("operators = [{type = \"nope\"}]", "unsupported type 'nope'"), ("multiline { }", "either"),
            ("header {\npattern = \"(\"\nmetadata_operators = []\n}", "header"),
            ("ordering_criteria {\nsort_by {\nsort_type = \"size\"\n}\n}", "sort_type"),
            ("ordering_criteria {\nsort_by {\nsort_type = \"numeric\"\nregex_key = \"n\"\n}\n}", "regex"),
            ("fingerprint_size = \"1B\"", "fingerprint_size"), ("attributes = {a = \"EXPR(1 +)\"}", "attributes"),
            ("encoding = \"big5\"\nmultiline {\nline_end_pattern = \"x\"\n}", "multiline"),
        ] {
            #expect(problems(text).contains(part), "\(text): \(problems(text))")
        }
    }
}
