import AlloySyntax
import ComponentKit
import TestKit
import Testing

@testable import LokiComponents

@Suite("loki.process: arguments")
struct ProcessArgumentTests {
    @Test(
        "Mistakes are refused by name",
        arguments: [
            ("stage.cri { max_partial_lines = 0 }", "\"max_partial_lines\" must be greater than 0"),
            ("stage.drop { }", "drop stage config must contain at least one of"),
            ("stage.drop {\nsource = \"a\"\nvalue = \"b\"\nexpression = \"c\" }", "cannot both be defined"),
            ("stage.drop { value = \"b\" }", "must contain `source` if `value` is specified"),
            ("stage.drop { expression = \"(\" }", "drop stage regex compilation error"),
            ("stage.drop { longer_than = \"x\" }", "longer_than"),
            ("stage.drop { older_than = \"x\" }", "older_than"),
            ("stage.eventlogmessage { source = \"a b\" }", "invalid label name: a b"),
            ("stage.windowsevent { source = \"\" }", "invalid label name"),
            ("stage.geoip {\ndb = \"/none\"\nsource = \"ip\"\ndb_type = \"city\" }", "/none"),
            ("stage.geoip {\ndb = \"\"\nsource = \"ip\"\ndb_type = \"city\" }", "db path cannot be empty"),
            ("stage.geoip {\ndb = \"/none\"\nsource = \"\"\ndb_type = \"city\" }", "source cannot be empty"),
            ("stage.geoip {\ndb = \"/none\"\nsource = \"ip\" }", "db type or values need to be set"),
            (
                "stage.geoip {\ndb = \"/none\"\nsource = \"ip\"\ndb_type = \"x\" }",
                "db type should be either city or asn"
            ),
            (
                "stage.geoip {\ndb = \"/none\"\nsource = \"ip\"\ncustom_lookups = { a = \"[\" } }",
                "could not compile JMES expression"
            ),
            ("stage.json { }", "JMES expressions or regex is required"),
            ("stage.json { expressions = { a = \"[\" } }", "could not compile JMES expression"),
            ("stage.json { regex = \"(\" }", "could not compile regular expression"),
            ("stage.json {\nexpressions = { a = \"\" }\nsource = \"\" }", "empty source"),
            ("stage.label_drop { values = [] }", "labeldrop stage config cannot be empty"),
            ("stage.label_keep { values = [] }", "labelallow stage config cannot be empty"),
            ("stage.labels { }", "missing required attribute \"values\""),
            ("stage.labels {\nvalues = { a = \"\" }\nsource_type = \"line\" }", "invalid labels source_type: line"),
            ("stage.limit {\nrate = 0\nburst = 1 }", "failed to parse rate or burst"),
            ("stage.limit {\nrate = 1\nburst = 1\nby_label_name = \"a\" }", "drop must be true"),
            ("stage.logfmt { }", "logfmt mapping or regex is required"),
            ("stage.logfmt { regex = \"(\" }", "could not compile regular expression"),
            ("stage.luhn { source = \"\" }", "empty source"),
            ("stage.luhn { skip_regex = \"(\" }", "could not compile regular expression"),
            ("stage.match { selector = \"\" }", "selector statement required for match stage"),
            ("stage.match { selector = \"{a=}\" }", "invalid selector syntax for match stage"),
            ("stage.match { selector = \"{a=\\\"b\\\"}\" }", "requires at least one additional stage"),
            ("stage.match {\nselector = \"{a=\\\"b\\\"}\"\naction = \"x\" }", "action should be 'keep' or 'drop'"),
            (
                "stage.match {\nselector = \"{a=\\\"b\\\"}\"\naction = \"drop\"\nstage.cri { }\n}",
                "configured to drop entries cannot contains stages"
            ),
            ("stage.metrics {\nmetric.counter {\nname = \"a\"\naction = \"x\" }\n}", "must be either 'inc' or 'add'"),
            (
                "stage.metrics {\nmetric.counter {\nname = \"a\"\naction = \"inc\"\nmax_idle_duration = \"1ms\" }\n}",
                "max_idle_duration must be greater or equal than 1s"
            ),
            (
                "stage.metrics {\nmetric.counter {\nname = \"a\"\naction = \"inc\"\nmatch_all = true\nvalue = \"b\" }\n}",
                "either 'match_all' or a 'value'"
            ),
            (
                "stage.metrics {\nmetric.counter {\nname = \"a\"\naction = \"inc\"\ncount_entry_bytes = true }\n}",
                "the 'count_entry_bytes' counter field must be specified along with match_all"
            ),
            ("stage.metrics {\nmetric.gauge {\nname = \"a\"\naction = \"x\" }\n}", "[set, inc, dec, add, sub]"),
            ("stage.metrics {\nmetric.histogram {\nname = \"a\" }\n}", "missing required attribute \"buckets\""),
            ("stage.metrics {\nmetric.histogram {\nname = \"a\"\nbuckets = [2, 1] }\n}", "increasing order"),
            ("stage.multiline { firstline = \"\" }", "must define `firstline` regular expression"),
            ("stage.multiline { firstline = \"(\" }", "first line regex compilation error"),
            ("stage.multiline {\nfirstline = \"a\"\nmax_wait_time = \"0s\" }", "must be greater than 0"),
            ("stage.output { source = \"\" }", "output source value is required"),
            ("stage.pack { }", "missing required attribute \"labels\""),
            ("stage.pattern { pattern = \"\" }", "pattern is required"),
            ("stage.pattern { pattern = \"none\" }", "at least one capture is required"),
            ("stage.pattern { pattern = \"<a><b>\" }", "found consecutive capture '<a><b>'"),
            ("stage.pattern { pattern = \"<a> <a>\" }", "duplicate capture name (a)"),
            ("stage.regex { expression = \"\" }", "expression is required"),
            ("stage.regex { expression = \"(\" }", "could not compile regular expression"),
            ("stage.regex {\nexpression = \"a\"\nsource = \"\" }", "empty source"),
            ("stage.sampling { rate = 1.5 }", "must be between 0.0 and 1.0, received 1.500000"),
            ("stage.split_json { source = \"\" }", "source cannot be empty"),
            ("stage.static_labels { }", "missing required attribute \"values\""),
            ("stage.structured_metadata { regex = \"(\" }", "could not compile regular expression"),
            ("stage.structured_metadata_drop { values = [] }", "structured_metadata_drop stage config cannot be empty"),
            ("stage.tenant { }", "label, source or value config are required"),
            ("stage.tenant {\nlabel = \"a\"\nvalue = \"b\" }", "mutually exclusive"),
            ("stage.timestamp {\nsource = \"\"\nformat = \"Unix\" }", "timestamp source value is required"),
            ("stage.timestamp {\nsource = \"a\"\nformat = \"\" }", "timestamp format is required"),
            (
                "stage.timestamp {\nsource = \"a\"\nformat = \"Unix\"\nlocation = \"No/Where\" }",
                "invalid location specified"
            ),
            (
                "stage.timestamp {\nsource = \"a\"\nformat = \"Unix\"\naction_on_failure = \"x\" }",
                "invalid action on failure (supported values are [skip fudge])"
            ),
            (
                "stage.timestamp {\nsource = \"a\"\nformat = \"Unix\"\naction_on_duplicate_timestamp = \"x\" }",
                "invalid action on duplicate timestamp (supported values are [keep fudge])"
            ),
            ("stage.truncate { }", "missing required block \"rule\""),
            ("stage.truncate {\nrule { limit = \"0B\" }\n}", "limit must be greater than zero"),
            ("stage.truncate {\nrule {\nlimit = \"2B\"\nsuffix = \"...\" }\n}", "suffix length cannot be greater"),
            (
                "stage.truncate {\nrule {\nlimit = \"2B\"\nsources = [\"a\"] }\n}",
                "sources cannot be set when source_type is 'line'"
            ),
            ("stage.truncate {\nrule {\nlimit = \"2B\"\nsource_type = \"x\" }\n}", "should be one of"),
            ("stage.nothing { }", "unrecognized block name \"stage.nothing\""),
            ("stage.cri { unknown = 1 }", "unrecognized attribute name \"unknown\""),
        ])
    func mistakes(stages: String, message: String) {
        let harness = ComponentHarness(LokiProcess.self)
        let problems = harness.evaluate(ProcessFixture.body(stages))
        #expect(problems.contains { $0.contains(message) }, "\(stages): \(problems)")
        #expect(!harness.instance.isMade)
    }

    @Test("A pipeline name is taken and said to have no effect")
    func pipelineName() {
        let harness = ComponentHarness(LokiProcess.self)
        let stages = "stage.match {\nselector = \"{a=\\\"b\\\"}\"\npipeline_name = \"p\"\nstage.cri { }\n}"
        let said = harness.evaluate(ProcessFixture.body(stages))
        #expect(said.count == 1 && said[0].contains("\"pipeline_name\" has no effect"), "\(said)")
        #expect(harness.instance.isMade)
    }

    @Test("The schema lists every stage with its arguments, nested stages once")
    func schema() throws {
        let schema = LokiProcess.argumentSchema
        #expect(schema.argument("forward_to")?.isRequired == true)
        let stages = schema.blocks.filter { $0.name.hasPrefix("stage.") }
        #expect(stages.count == 31)
        let match = try #require(schema.block("stage.match"))
        #expect(match.schema.blocks.map(\.recursivePath) == ["stage.*"])
        #expect(schema.block("stage.metrics > metric.counter")?.schema.arguments.count == 9)
    }
}
