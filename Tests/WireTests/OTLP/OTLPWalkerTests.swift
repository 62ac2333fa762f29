import Telemetry
import Testing
import Wire

@Suite("OTLPWalker")
struct OTLPWalkerTests {
    private func batch(_ kind: OTLPBatch.Kind, _ bytes: [UInt8]) throws -> OTLPBatch {
        try OTLPScanner.batch(bytes, as: kind)
    }

    @Test("A walk that changes nothing returns the batch as it came")
    func untouched() throws {
        for (kind, bytes) in [
            (OTLPBatch.Kind.traces, Samples.spans()), (.metrics, Samples.metrics()), (.logs, Samples.logs()),
        ] {
            let batch = try batch(kind, bytes)
            var visits: [OTLPWalker.Level: Int] = [:]
            let result = try OTLPWalker().edit(batch, to: .point) { level in
                visits[level, default: 0] += 1
                return .keep
            }
            #expect(result.chunks == batch.chunks)
            #expect(visits[.resource] == 2)
            #expect(visits[.scope] == 2)
            #expect(visits[.item] == 6)
            #expect(visits[.point] == (kind == .traces ? 6 : kind == .metrics ? 12 : nil))
        }
    }

    @Test("Attributes are replaced, added and removed; every other field stays")
    func attributes() throws {
        let batch = try batch(.traces, Samples.spans())
        let walker = OTLPWalker()
        let method: OTLPKey = "http.method"
        let added: OTLPKey = "added"
        let status: OTLPKey = "http.status_code"
        let result = try walker.edit(batch, to: .item) { level in
            guard level == .item else { return .keep }
            walker.item.attributes.set(method, to: "POST")
            walker.item.attributes.set(added, to: .int(-5) as OTLPValue)
            walker.item.attributes.remove(status)
            return .keep
        }
        #expect(result.itemCount == 6)
        #expect(try OTLPScanner.batch(result.requestBytes, as: .traces).itemCount == 6)
        try walker.walk(result, to: .item) { level in
            guard level == .item else { return .keep }
            #expect(walker.item.attributes[method]?.string == "POST")
            guard case .int(-5)? = walker.item.attributes[added] else {
                Issue.record("no number")
                return .keep
            }
            #expect(walker.item.attributes[status] == nil)
            #expect(walker.item.attributes.count == 2)
            #expect(walker.item.string(200) == "unknown")
            #expect(walker.span.statusCode == 2)
            #expect(text(walker.span.statusMessage) == "bad")
            #expect(Array(walker.span.traceID) == Samples.traceID)
            return .keep
        }
        #expect(try lines(result) == lines(batch))
    }

    @Test("A resource is changed while its items are visited, and unchanged groups are copied")
    func resource() throws {
        let batch = try batch(.logs, Samples.logs())
        let walker = OTLPWalker()
        let name: OTLPKey = "service.name"
        let result = try walker.edit(batch, to: .item) { level in
            if level == .item, walker.resource.attributes[name]?.string == "service1" {
                walker.resource.attributes.set(name, to: "renamed")
            }
            return .keep
        }
        let found = try lines(result)
        #expect(found.filter { $0.hasPrefix("service0") }.count == 3)
        #expect(found.filter { $0.hasPrefix("renamed") }.count == 3)
        var schemas: [String] = []
        try walker.walk(result, to: .scope) { level in
            if level == .resource { schemas.append(walker.resourceGroup.string(3)) }
            if level == .scope { schemas.append(walker.scopeGroup.string(3) + walker.scope.string(1)) }
            return .keep
        }
        #expect(schemas == ["schema", "scope-schemalibrary", "schema", "scope-schemalibrary"])
    }

    @Test("Dropped items are gone, with their group when it was the last of it")
    func dropping() throws {
        let batch = try batch(.traces, Samples.spans())
        let walker = OTLPWalker()
        let result = try walker.edit(batch, to: .item) { level in
            guard level == .item else { return .keep }
            let name = text(walker.span.name)
            return name.hasPrefix("span 0") || name == "span 1.1" ? .drop : .keep
        }
        #expect(try lines(result) == ["service1 span 1.0", "service1 span 1.2"])
        #expect(result.itemCount == 2)
        var resources = 0
        try walker.walk(result, to: .resource) { _ in
            resources += 1
            return .keep
        }
        #expect(resources == 1)
        let nothing = try walker.edit(batch, to: .resource) { _ in .drop }
        #expect(nothing.itemCount == 0)
        #expect(nothing.byteCount == 0)
    }

    @Test("Data points are changed and dropped, and a metric goes with its last point")
    func points() throws {
        let batch = try batch(.metrics, Samples.metrics(resources: 1, items: 2))
        let walker = OTLPWalker()
        let code: OTLPKey = "code"
        let result = try walker.edit(batch, to: .point) { level in
            if level == .item, text(walker.metric.name) == "requests_1" {
                walker.item.set(OTLPField.Metric.name, string: "renamed")
                walker.metric.isMonotonic = false
            }
            guard level == .point else { return .keep }
            if walker.point.attributes[code]?.string == "0" { return .drop }
            OTLPNumberPoint(walker.point).value = .int(0)
            return .keep
        }
        #expect(try lines(result) == ["service0 requests_0 0.0", "service0 renamed 0.0"])
        #expect(result.itemCount == 2)
        #expect(OTLPCounter.items(inRequest: result.requestBytes, of: .metrics) == 2)
        try walker.walk(result, to: .item) { level in
            guard level == .item else { return .keep }
            #expect(walker.metric.isMonotonic == (text(walker.metric.name) == "requests_0"))
            #expect(walker.metric.aggregationTemporality == 2)
            return .keep
        }
        let rest = try walker.edit(batch, to: .point) { level in
            level == .point && text(walker.metric.name) == "requests_0" ? .drop : .keep
        }
        #expect(try lines(rest) == ["service0 requests_1 0.5", "service0 requests_1 1.5"])
    }

    @Test("A metric changes its kind, and one is inserted behind it")
    func metricKind() throws {
        let batch = try batch(.metrics, Samples.metrics(resources: 1, items: 1))
        let walker = OTLPWalker()
        let result = try walker.edit(batch, to: .item) { level in
            guard level == .item else { return .keep }
            walker.metricKind = .gauge
            walker.data.remove(OTLPField.MetricData.aggregationTemporality)
            walker.data.remove(OTLPField.MetricData.isMonotonic)
            let other = Message { metric in
                metric.text(1, "other")
                metric.message(5) { gauge in gauge.message(1) { $0.double(4, 9) } }
            }
            other.bytes.withUnsafeBytes { walker.insert($0) }
            return .keep
        }
        #expect(result.itemCount == 3)
        #expect(try OTLPScanner.batch(result.requestBytes, as: .metrics).itemCount == 3)
        var kinds: [OTLPMetricKind?] = []
        try walker.walk(result, to: .item) { level in
            if level == .item { kinds.append(walker.metricKind) }
            return .keep
        }
        #expect(kinds == [.gauge, .gauge])
        #expect(try lines(result).last == "service0 other 9.0")
    }

    @Test("Span events are changed and dropped; the span stays")
    func events() throws {
        let batch = try batch(.traces, Samples.spans(resources: 1, items: 2))
        let walker = OTLPWalker()
        let level0: OTLPKey = "level"
        let result = try walker.edit(batch, to: .point) { level in
            guard level == .point else { return .keep }
            if text(walker.span.name) == "span 0.0" { return .drop }
            walker.event.attributes.set(level0, to: "warn")
            return .keep
        }
        #expect(result.itemCount == 2)
        var events: [String] = []
        try walker.walk(result, to: .point) { level in
            if level == .point {
                events.append("\(text(walker.event.name)) \(walker.point.attributes.value(of: "level") ?? "-")")
            }
            return .keep
        }
        #expect(events == ["exception warn"])
    }

    @Test("What visit throws leaves the batch alone and the walker usable")
    func throwing() throws {
        struct Stop: Error {}
        let batch = try batch(.logs, Samples.logs())
        let walker = OTLPWalker()
        #expect(throws: Stop.self) {
            _ = try walker.edit(batch, to: .item) { level in
                if level == .item { throw Stop() }
                return .keep
            }
        }
        let result = try walker.edit(batch, to: .item) { _ in .keep }
        #expect(result.chunks == batch.chunks)
    }

    @Test("Nested values are read and set by path")
    func paths() throws {
        let bytes = Message { request in
            request.message(1) { group in
                group.message(2) { scope in
                    scope.message(2) { record in
                        record.message(6) { entry in
                            entry.text(1, "http")
                            entry.message(2) { value in
                                value.message(6) { map in
                                    map.attribute(1, "method", "GET")
                                    map.message(1) { codes in
                                        codes.text(1, "codes")
                                        codes.message(2) { list in
                                            list.message(5) { $0.message(1) { $0.number(3, 7) } }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }.bytes
        let batch = try batch(.logs, bytes)
        let walker = OTLPWalker()
        let codes: [OTLPPathStep] = [.key("http"), .key("codes"), .index(0)]
        let deep: [OTLPPathStep] = [.key("http"), .key("new"), .key("deep")]
        let result = try walker.edit(batch, to: .item) { level in
            guard level == .item else { return .keep }
            guard case .int(7)? = walker.item.attributes.value(at: codes) else {
                Issue.record("not found")
                return .keep
            }
            #expect(walker.item.attributes.set(codes, to: .bool(true)))
            #expect(walker.item.attributes.set(deep, to: .double(1.5)))
            #expect(!walker.item.attributes.set([.key("http"), .key("method"), .key("x")], to: 1))
            #expect(!walker.item.attributes.set([.key("http"), .key("codes"), .index(1)], to: 1))
            return .keep
        }
        try walker.walk(result, to: .item) { level in
            guard level == .item else { return .keep }
            guard case .bool(true)? = walker.item.attributes.value(at: codes),
                case .double(1.5)? = walker.item.attributes.value(at: deep)
            else {
                Issue.record("not set")
                return .keep
            }
            var expected = OTLPAnyValue.Map()
            expected["method"] = "GET"
            expected["codes"] = .array([true])
            var inner = OTLPAnyValue.Map()
            inner["deep"] = 1.5
            expected["new"] = .map(inner)
            #expect(walker.item.attributes.map["http"] == .map(expected))
            return .keep
        }
    }
}

extension OTLPCounter {
    fileprivate static func items(inRequest bytes: [UInt8], of kind: OTLPBatch.Kind) -> Int {
        bytes.withUnsafeBytes { items(inRequest: $0, of: kind) }
    }
}
