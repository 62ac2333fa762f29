import ComponentKit
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

@Suite("Attributes, span, redaction, sampler and groupbyattrs processors")
struct AttributeProcessorTests {
    /// Log records with the given bodies and attributes.
    static func logs(_ records: [(String, [(String, OTLPAnyValue)])]) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .logs)
        let resource = OTLPMessage()
        resource.clear(as: .resource)
        resource.attributes.set("service.name" as OTLPKey, to: "test")
        assembler.begin(resource: resource)
        let item = OTLPMessage()
        for (body, attributes) in records {
            item.clear(as: .logRecord)
            item.set(OTLPField.LogRecord.body, value: OTLPAnyValue.string(body))
            for (key, value) in attributes { item.attributes.set(OTLPKey(key), to: value) }
            assembler.append(item)
        }
        return assembler.finish()
    }

    /// Attributes of every item, as `key=value` in order, with those of the resource in front.
    static func attributes(_ batches: [OTLPBatch]) throws -> [String] {
        func text(_ attributes: OTLPAttributes) -> String {
            attributes.map.entries.map { entry in
                let value =
                    switch entry.value {
                    case .string(let text): String(decoding: text, as: UTF8.self)
                    case .int(let number): "\(number)"
                    case .double(let number): "\(number)"
                    case .bool(let flag): "\(flag)"
                    default: "..."
                    }
                return "\(String(decoding: entry.key, as: UTF8.self))=\(value)"
            }.joined(separator: " ")
        }
        var lines: [String] = []
        let walker = OTLPWalker()
        for batch in batches {
            try walker.walk(batch, to: batch.kind == .metrics ? .point : .item) { level in
                let last: OTLPWalker.Level = batch.kind == .metrics ? .point : .item
                guard level == last else { return .keep }
                lines.append(
                    text(walker.resource.attributes) + " | "
                        + text(last == .point ? walker.point.attributes : walker.item.attributes))
                return .keep
            }
        }
        return lines
    }

    private static func check(
        _ component: any Component.Type, _ configuration: String, _ batch: OTLPBatch, _ expected: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let result = try TransformFilterTests.process(component, configuration, batch, sourceLocation: sourceLocation)
        #expect(try attributes(result) == expected, sourceLocation: sourceLocation)
    }

    private static func problems(_ component: any Component.Type, _ configuration: String) -> [String] {
        ComponentHarness(component).start(configuration + "\n" + TransformFilterTests.output)
    }

    // MARK: Attributes

    @Test(
        "Each action changes what it says",
        arguments: [
            ("key = \"a\"\n value = 5\n action = \"insert\"", "a=1 b=x y"),
            ("key = \"c\"\n value = 2.5\n action = \"insert\"", "a=1 b=x y c=2.5"),
            ("key = \"a\"\n value = \"z\"\n action = \"update\"", "a=z b=x y"),
            ("key = \"c\"\n value = \"z\"\n action = \"update\"", "a=1 b=x y"),
            ("key = \"c\"\n from_attribute = \"b\"\n action = \"upsert\"", "a=1 b=x y c=x y"),
            ("key = \"c\"\n from_context = \"metadata.tenant\"\n action = \"upsert\"", "a=1 b=x y c=t1;t2"),
            ("key = \"c\"\n from_context = \"client.address\"\n action = \"upsert\"", "a=1 b=x y c=10.0.0.1"),
            ("key = \"a\"\n action = \"delete\"", "b=x y"),
            ("pattern = \"^[ab]$\"\n action = \"delete\"", ""),
            ("key = \"b\"\n action = \"hash\"", "a=1 b=a1b9a0d8e7a3a1a1"),
            ("key = \"b\"\n pattern = \"(?P<f>x) (?P<g>y)\"\n action = \"extract\"", "a=1 b=x y f=x g=y"),
            ("key = \"a\"\n converted_type = \"string\"\n action = \"convert\"", "a=1 b=x y"),
            ("key = \"a\"\n converted_type = \"double\"\n action = \"convert\"", "a=1.0 b=x y"),
        ])
    func actions(_ action: String, _ expected: String) throws {
        var batch = Self.logs([("l", [("a", 1), ("b", "x y")])])
        batch.client = OTLPClient(
            address: "10.0.0.1:4711", metadata: [.init(name: "tenant", values: ["t1", "t2"])])
        let result = try TransformFilterTests.process(
            OtelcolProcessorAttributes.self, "action {\n \(action)\n}", batch)
        let line = try #require(try Self.attributes(result).first)
        if action.contains("hash") {
            // The digest of "x y": as long as SHA-256 is, and the same each time.
            #expect(line.hasPrefix("service.name=test | a=1 b="))
            #expect(line.utf8.count == "service.name=test | a=1 b=".utf8.count + 64)
        } else {
            #expect(line == "service.name=test | " + expected)
        }
    }

    @Test("Hashed values are SHA-256 of text, flags and little-endian numbers")
    func hashes() throws {
        let values: [(OTLPAnyValue, String)] = [
            ("foo", "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"),
            (true, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"),
            (24, "cbb032642036ec7043fa4529f06c9c9d8b12fa70ea6799a19ca8321a808d86fa"),
            (.double(2.4), "df3022be03461368aa299f2f30d440fd3ca45c9b62af40733f10296a53d42859"),
            ("", ""), (.bytes([1, 2, 3]), ""), (.array([1]), ""),
        ]
        for (value, expected) in values {
            let result = try TransformFilterTests.process(
                OtelcolProcessorAttributes.self, "action {\n key = \"a\"\n action = \"hash\"\n}",
                Self.logs([("l", [("a", value)])]))
            #expect(try Self.attributes(result).first == "service.name=test | a=" + expected)
        }
    }

    @Test("Items are chosen by include and exclude")
    func matching() throws {
        let batch = Self.logs([("one", [("a", 1)]), ("two", [("a", 2)])])
        let action = "action {\n key = \"m\"\n value = true\n action = \"insert\"\n}\n"
        let resource = "service.name=test | "
        for (match, expected) in [
            ("include {\n match_type = \"strict\"\n log_bodies = [\"one\"]\n}", ["a=1 m=true", "a=2"]),
            ("include {\n match_type = \"regexp\"\n log_bodies = [\"^t\"]\n}", ["a=1", "a=2 m=true"]),
            (
                "exclude {\n match_type = \"strict\"\n attribute {\n key = \"a\"\n value = 2\n }\n}",
                ["a=1 m=true", "a=2"]
            ),
            ("include {\n match_type = \"strict\"\n services = [\"other\"]\n}", ["a=1", "a=2"]),
            (
                "include {\n match_type = \"strict\"\n log_severity {\n min = \"INFO\"\n match_undefined = true\n }\n}",
                ["a=1 m=true", "a=2 m=true"]
            ),
        ] {
            let harness = ComponentHarness(OtelcolProcessorAttributes.self)
            let problems = harness.start(action + match + "\noutput {\n logs = [recorder.otlp]\n}")
            #expect(problems.isEmpty, "\(problems)")
            let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
            try harness.run { try await input.consume(batch) }
            #expect(harness.finish() == [])
            #expect(try Self.attributes(harness.otlp.batches) == expected.map { resource + $0 }, "\(match)")
        }
    }

    @Test("Points of metrics are changed, and what cannot be meant is refused")
    func metrics() throws {
        try Self.check(
            OtelcolProcessorAttributes.self, "action {\n key = \"m\"\n value = 1\n action = \"insert\"\n}",
            TransformFilterTests.gauge("g", [1, 2]), [" | n=1 m=1", " | n=2 m=1"])
        for (configuration, expected) in [
            ("action {\n key = \"a\"\n action = \"insert\"\n}", "exactly one"),
            ("action {\n key = \"a\"\n action = \"rename\"\n}", "must be one of"),
            ("action {\n key = \"a\"\n pattern = \"(x)\"\n action = \"extract\"\n}", "name"),
            ("action {\n key = \"a\"\n value = 1\n action = \"delete\"\n}", "means nothing"),
            ("action {\n action = \"hash\"\n}", "required"),
            (
                "include {\n match_type = \"strict\"\n log_bodies = [\"a\"]\n}\naction {\n key = \"a\"\n action = \"delete\"\n}",
                "log_bodies"
            ),
        ] {
            let problems = Self.problems(OtelcolProcessorAttributes.self, configuration)
            #expect(problems.contains { $0.contains(expected) }, "\(configuration): \(problems)")
        }
    }

    // MARK: Span

    @Test("Spans are named by attributes and give attributes from their names")
    func spans() throws {
        let batch = TransformFilterTests.traces(["/api/v1/document/12345678/update"])
        func run(_ configuration: String) throws -> (String, String) {
            let harness = ComponentHarness(OtelcolProcessorSpan.self)
            let problems = harness.start(configuration + "\noutput {\n traces = [recorder.otlp]\n}")
            #expect(problems.isEmpty, "\(problems)")
            let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
            try harness.run { try await input.consume(batch) }
            #expect(harness.finish() == [])
            let names = TransformFilterTests.names(harness.otlp.batches)
            return (names.first ?? "", try Self.attributes(harness.otlp.batches).first ?? "")
        }
        let named = try run("name {\n from_attributes = [\"n\", \"n\"]\n separator = \"::\"\n}")
        #expect(named.0 == "0::0")
        let rule = #"rules = ["^\\/api\\/v1\\/document\\/(?P<documentId>.*)\\/update$"]"#
        let extracted = try run("name {\n to_attributes {\n \(rule)\n }\n}")
        #expect(extracted.0 == "/api/v1/document/{documentId}/update")
        #expect(extracted.1 == "service.name=test | n=0 documentId=12345678")
        let kept = try run("name {\n to_attributes {\n \(rule)\n keep_original_name = true\n }\n}")
        #expect(kept.0 == "/api/v1/document/12345678/update")
        let excluded = try run(
            "exclude {\n match_type = \"regexp\"\n span_names = [\"api\"]\n}\nname {\n from_attributes = [\"n\"]\n}")
        #expect(excluded.0 == "/api/v1/document/12345678/update")
        let missing = try run(
            "name {\n from_attributes = [\"none\"]\n}\nstatus {\n code = \"Error\"\n description = \"d\"\n}")
        #expect(missing.0 == "/api/v1/document/12345678/update")
        #expect(
            Self.problems(OtelcolProcessorSpan.self, "status {\n code = \"Ok\"\n description = \"d\"\n}")
                .contains { $0.contains("needs the code") })
    }

    // MARK: Redaction

    @Test("Keys that are not allowed go, and values that are blocked are masked")
    func redaction() throws {
        let batch = Self.logs([("card 4111111111111111 end", [("card", "4111111111111111"), ("note", "x"), ("n", 5)])])
        try Self.check(
            OtelcolProcessorRedaction.self,
            """
            allow_all_keys = true
            blocked_values = ["4[0-9]{15}"]
            summary = "debug"
            """, batch,
            [
                "service.name=test | card=**** note=x n=5 redaction.masked.keys=card redaction.masked.count=1 "
                    + "redaction.body.masked.keys=body redaction.body.masked.count=1"
            ])
        try Self.check(
            OtelcolProcessorRedaction.self,
            """
            allowed_keys = ["note"]
            ignored_keys = ["n", "service.name"]
            summary = "info"
            """, batch,
            [
                "service.name=test redaction.ignored.count=1 | note=x n=5 redaction.redacted.count=1 redaction.ignored.count=1"
            ])
        try Self.check(
            OtelcolProcessorRedaction.self,
            "allow_all_keys = true\nblocked_key_patterns = [\"^no\"]\nhash_function = \"md5\"", batch,
            ["service.name=test | card=4111111111111111 note=9dd4e461268c8034f5c8564e155c67a6 n=5"])
        let masked = try TransformFilterTests.process(
            OtelcolProcessorRedaction.self, "allow_all_keys = true\nblocked_values = [\"4[0-9]{15}\"]", batch)
        #expect(PipelineTests.lines(masked) == ["card **** end"])
        for (configuration, expected) in [
            ("url_sanitizer {\n enabled = true\n}", "not supported"), ("hash_function = \"crc\"", "must be one of"),
            ("hash_function = \"hmac-sha256\"", "hmac_key"), ("blocked_values = [\"(\"]", "blocked_values"),
        ] {
            let problems = Self.problems(OtelcolProcessorRedaction.self, configuration)
            #expect(problems.contains { $0.contains(expected) }, "\(problems)")
        }
    }

    @Test("Whole values are masked by line, and a second processor adds to what the first said")
    func redactionTwice() throws {
        let first = try TransformFilterTests.process(
            OtelcolProcessorRedaction.self,
            """
            allowed_keys = ["note", "secret", "list", "service.name"]
            blocked_key_patterns = ["secret", "list"]
            summary = "debug"
            """,
            Self.logs([("b", [("secret", "a\nb"), ("list", .array([1])), ("gone", 1), ("note", "n 42")])]))
        #expect(
            try Self.attributes(first) == [
                "service.name=test | secret=****\n**** list=**** note=n 42 redaction.redacted.keys=gone "
                    + "redaction.redacted.count=1 redaction.masked.keys=list,secret redaction.masked.count=2"
            ])
        let second = try TransformFilterTests.process(
            OtelcolProcessorRedaction.self,
            """
            allowed_keys = ["note", "service.name"]
            blocked_values = ["[0-9]+"]
            summary = "debug"
            """, try #require(first.first))
        #expect(
            try Self.attributes(second) == [
                "service.name=test | note=n **** redaction.redacted.keys=gone,list,secret "
                    + "redaction.redacted.count=3 redaction.masked.keys=list,note,secret redaction.masked.count=3"
            ])
    }

    @Test("Bodies say what was masked in them, by the way to it")
    func redactedBodies() throws {
        var assembler = OTLPAssembler(kind: .logs)
        let item = OTLPMessage()
        let bodies: [OTLPAnyValue] = [
            Self.map(
                ("card", "4111"),
                (
                    "user",
                    Self.map(("name", "x 4111"), ("pass", "p"), ("cards", OTLPAnyValue.array(["1", "4111"])))
                ), ("skip", "4111")),
            .int(4111), "text 4111", "fine 4111", .array(["4111", "no"]),
        ]
        for body in bodies {
            item.clear(as: .logRecord)
            item.set(OTLPField.LogRecord.body, value: body)
            assembler.append(item)
        }
        let found = try TransformFilterTests.process(
            OtelcolProcessorRedaction.self,
            """
            allow_all_keys = true
            ignored_keys = ["skip"]
            blocked_key_patterns = ["pass"]
            allowed_values = ["fine"]
            blocked_values = ["4[0-9]{3}"]
            summary = "debug"
            """, assembler.finish())
        #expect(
            try Self.attributes(found) == [
                " | redaction.body.masked.keys=card,user.cards.[1],user.name,user.pass redaction.body.masked.count=4 "
                    + "redaction.body.ignored.count=1",
                " | redaction.body.masked.keys=body redaction.body.masked.count=1",
                " | redaction.body.masked.keys=body redaction.body.masked.count=1",
                " | ", " | redaction.body.masked.keys=[0] redaction.body.masked.count=1",
            ])
        let few = try TransformFilterTests.process(
            OtelcolProcessorRedaction.self, "allowed_keys = [\"user\", \"name\"]\nsummary = \"debug\"",
            assembled(bodies[0]))
        #expect(
            try Self.attributes(few) == [
                " | redaction.body.redacted.keys=card,skip,user.cards,user.pass redaction.body.redacted.count=4"
            ])
    }

    private static func map(_ pairs: (String, OTLPAnyValue)...) -> OTLPAnyValue {
        var map = OTLPAnyValue.Map()
        for (key, value) in pairs { map[key] = value }
        return .map(map)
    }

    private func assembled(_ body: OTLPAnyValue) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .logs)
        let item = OTLPMessage()
        item.clear(as: .logRecord)
        item.set(OTLPField.LogRecord.body, value: body)
        assembler.append(item)
        return assembler.finish()
    }

    // MARK: Groups

    @Test("Attributes move to the resource, and equal resources are brought together")
    func groups() throws {
        let batch = Self.logs([
            ("a", [("host", "h1"), ("x", 1)]), ("b", [("host", "h2")]), ("c", [("host", "h1"), ("x", 2)]), ("d", []),
        ])
        try Self.check(
            OtelcolProcessorGroupByAttrs.self, "keys = [\"host\"]", batch,
            [
                "service.name=test host=h1 | x=1", "service.name=test host=h1 | x=2", "service.name=test host=h2 | ",
                "service.name=test | ",
            ])
        try Self.check(
            OtelcolProcessorGroupByAttrs.self, "keys = [\"n\"]", TransformFilterTests.gauge("g", [1, 2, 1]),
            ["n=1 | ", "n=1 | ", "n=2 | "])
        var twice = batch
        twice.append(batch)
        let compacted = try TransformFilterTests.process(OtelcolProcessorGroupByAttrs.self, "", twice)
        #expect(compacted.map(\.itemCount) == [8])
        var resources = 0
        let walker = OTLPWalker()
        try walker.walk(try #require(compacted.first), to: .resource) { _ in
            resources += 1
            return .keep
        }
        #expect(resources == 1)
    }

    // MARK: Sampling

    /// Spans with trace IDs spread evenly.
    private static func traces(_ count: Int, _ change: (OTLPSpan, Int) -> Void = { _, _ in }) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .traces)
        let item = OTLPMessage()
        for place in 0..<count {
            item.clear(as: .span)
            var id = [UInt8](repeating: 7, count: 16)
            let spread = UInt64(place) &* 0x9E37_79B9_7F4A_7C15
            for byte in 0..<8 { id[8 + byte] = UInt8(truncatingIfNeeded: spread >> UInt64(56 - byte * 8)) }
            id.withRawBytes { OTLPSpan(item).traceID = $0 }
            change(OTLPSpan(item), place)
            assembler.append(item)
        }
        return assembler.finish()
    }

    @Test(
        "A share of traces is kept, the same one each time, with its threshold",
        arguments: ["proportional", "equalizing", "hash_seed"])
    func sampling(_ mode: String) throws {
        let configuration = "sampling_percentage = 25\nmode = \"\(mode)\"\nhash_seed = 22"
        let first = try TransformFilterTests.process(
            OtelcolProcessorProbabilisticSampler.self, configuration, Self.traces(4000))
        let kept = first.reduce(0) { $0 + $1.itemCount }
        #expect((900...1100).contains(kept), "\(kept)")
        let again = try TransformFilterTests.process(
            OtelcolProcessorProbabilisticSampler.self, configuration, try #require(first.first))
        let states = try Self.states(again)
        if mode == "proportional" {
            let left = again.reduce(0) { $0 + $1.itemCount }
            #expect((200...300).contains(left), "\(left)")
            #expect(states == ["ot=th:f"])
        } else {
            // The older mode does not decide about what says that it has been sampled.
            #expect(again.reduce(0) { $0 + $1.itemCount } == (mode == "hash_seed" ? 0 : kept))
            #expect(states == (mode == "hash_seed" ? [] : ["ot=th:c"]))
        }
    }

    private static func states(_ batches: [OTLPBatch]) throws -> Set<String> {
        var states: Set<String> = []
        let walker = OTLPWalker()
        for batch in batches {
            try walker.walk(batch, to: .item) { level in
                if level == .item { states.insert(String(decoding: walker.span.traceState, as: UTF8.self)) }
                return .keep
            }
        }
        return states
    }

    @Test("Priorities and missing IDs decide on their own")
    func priorities() throws {
        func kept(_ configuration: String, _ batch: OTLPBatch) throws -> Int {
            try TransformFilterTests.process(OtelcolProcessorProbabilisticSampler.self, configuration, batch)
                .reduce(0) { $0 + $1.itemCount }
        }
        let prior = Self.traces(10) { span, place in
            span.attributes.set("sampling.priority" as OTLPKey, to: OTLPAnyValue.int(place < 4 ? 1 : 0))
        }
        #expect(try kept("sampling_percentage = 0", prior) == 4)
        #expect(try kept("sampling_percentage = 100", prior) == 4)
        let without = Self.traces(3) { span, _ in span.traceID = OTLPBytes.empty }
        #expect(try kept("sampling_percentage = 100", without) == 0)
        #expect(try kept("sampling_percentage = 100\nfail_closed = false", without) == 3)
        let logs = Self.logs((0..<1000).map { ("l", [("id", .string("record \($0)")), ("p", 100)]) })
        let share = try kept("sampling_percentage = 50\nattribute_source = \"record\"\nfrom_attribute = \"id\"", logs)
        #expect((420...580).contains(share), "\(share)")
        #expect(
            try kept(
                "sampling_percentage = 1\nattribute_source = \"record\"\nfrom_attribute = \"id\"\nsampling_priority = \"p\"",
                logs) == 1000)
        #expect(
            Self.problems(OtelcolProcessorProbabilisticSampler.self, "sampling_precision = 15").contains {
                $0.contains("1 to 14")
            })
    }
}
