import Telemetry
import Testing
import Wire

@Suite("OTLPAssembler and OTLPSplitter")
struct OTLPAssemblerTests {
    @Test("Items of equal resource and scope are grouped, in any order, from several batches")
    func grouping() throws {
        let first = try OTLPScanner.batch(Samples.logs(resources: 2, items: 2), as: .logs)
        let second = try OTLPScanner.batch(Samples.logs(resources: 3, items: 1), as: .logs)
        var assembler = OTLPAssembler(kind: .logs)
        let walker = OTLPWalker()
        for batch in [first, second] {
            try walker.walk(batch, to: .item) { level in
                if level == .item { assembler.append(walker) }
                return .keep
            }
        }
        #expect(assembler.itemCount == 7)
        let result = assembler.finish()
        #expect(assembler.isEmpty)
        #expect(result.itemCount == 7)
        #expect(try OTLPScanner.batch(result.requestBytes, as: .logs).itemCount == 7)
        var groups: [String] = []
        try walker.walk(result, to: .scope) { level in
            if level == .resource {
                groups.append(
                    (walker.resource.attributes.value(of: "service.name") ?? "") + walker.resourceGroup.string(3))
            }
            if level == .scope { groups.append(walker.scope.string(1) + walker.scopeGroup.string(3)) }
            return .keep
        }
        #expect(
            groups == [
                "service0schema", "libraryscope-schema", "service1schema", "libraryscope-schema", "service2schema",
                "libraryscope-schema",
            ])
        #expect(try Set(lines(result)) == Set(lines(first) + lines(second)))
    }

    @Test("A batch is made from nothing")
    func making() throws {
        let resource = OTLPMessage()
        resource.clear(as: .resource)
        resource.attributes.set("service.name" as OTLPKey, to: "made")
        let scope = OTLPMessage()
        scope.clear(as: .scope)
        scope.set(OTLPField.Scope.name, string: "maker")
        let item = OTLPMessage()
        var assembler = OTLPAssembler(kind: .logs)
        assembler.begin(resource: resource)
        assembler.begin(scope: scope)
        for index in 0..<3 {
            item.clear(as: .logRecord)
            OTLPLogRecord(item).timeUnixNano = UInt64(index + 1)
            item.set(OTLPField.LogRecord.body, value: OTLPAnyValue.string("line \(index)"))
            assembler.append(item)
        }
        let batch = assembler.finish()
        #expect(try OTLPScanner.batch(batch.requestBytes, as: .logs).itemCount == 3)
        #expect(try lines(batch) == ["made line 0", "made line 1", "made line 2"])
    }

    @Test("Splitting at every position keeps order and loses nothing", arguments: OTLPBatch.Kind.allCases)
    func splitting(_ kind: OTLPBatch.Kind) throws {
        let bytes: [UInt8] =
            switch kind {
            case .traces: Samples.spans()
            case .metrics: Samples.metrics()
            case .logs: Samples.logs()
            }
        var whole = try OTLPScanner.batch(bytes, as: kind)
        whole.append(try OTLPScanner.batch(bytes, as: kind))
        let expected = try lines(whole)
        var splitter = OTLPSplitter()
        for size in 0...(whole.itemCount + 1) {
            var rest = whole
            let first = try splitter.take(size, from: &rest)
            #expect(first.itemCount == min(size, whole.itemCount))
            #expect(first.itemCount + rest.itemCount == whole.itemCount)
            for part in [first, rest] {
                #expect(try OTLPScanner.batch(part.requestBytes, as: kind).itemCount == part.itemCount)
            }
            #expect(try lines(first) + lines(rest) == expected)
        }
    }
}
