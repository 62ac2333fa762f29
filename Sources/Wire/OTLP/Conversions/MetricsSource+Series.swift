import Telemetry

struct TargetKey: Hashable, Sendable {
    var job: String
    var instance: String
}

struct ScopeKey: Hashable, Sendable {
    var resource: Int32
    var identity: ScopeIdentity
}

struct MetricKey: Hashable, Sendable {
    var scope: Int32
    var shape: MetricShape
    var name: String
}

struct GroupKey: Hashable, Sendable {
    var metric: Int32
    /// Encoded, without `le` or `quantile`.
    var attributes: [UInt8]
}

/// What a new series is, and everything that is encoded once.
extension MetricsSource {
    /// The family of a series.
    struct Family {
        var name: String
        var metadata: MetricMetadata
    }

    /// Suffixes that series add to the name of their family.
    private static let suffixes = ["_bucket", "_count", "_sum", "_total", "_info", "_created"]

    private static let scrapeFamilies: [String: MetricMetadata] = [
        "up": MetricMetadata(family: "up", kind: .gauge, help: "The scraping was successful"),
        "scrape_duration_seconds": MetricMetadata(
            family: "scrape_duration_seconds", kind: .gauge, help: "Duration of the scrape", unit: "seconds"),
        "scrape_samples_scraped": MetricMetadata(
            family: "scrape_samples_scraped", kind: .gauge, help: "The number of samples the target exposed"),
        "scrape_series_added": MetricMetadata(
            family: "scrape_series_added", kind: .gauge,
            help: "The approximate number of new series in this scrape"),
        "scrape_samples_post_metric_relabeling": MetricMetadata(
            family: "scrape_samples_post_metric_relabeling", kind: .gauge,
            help: "The number of samples remaining after metric relabeling was applied"),
    ]

    /// What there is of a series' labels before attributes.
    private struct Parts {
        var name = ""
        var job = ""
        var instance = ""
        var bound: Double?
        var quantile: Double?
        var scope = ScopeIdentity()
    }

    mutating func makeSlot(_ ref: SeriesRef, _ labels: LabelSet) -> SeriesSlot {
        var parts = Self.parts(labels)
        if parts.job.isEmpty { parts.job = origin?.targetLabels["job"] ?? "" }
        if parts.instance.isEmpty { parts.instance = origin?.targetLabels["instance"] ?? "" }
        guard !parts.job.isEmpty, !parts.instance.isEmpty else { return SeriesSlot(role: .withoutTarget) }
        guard !parts.name.isEmpty else { return SeriesSlot(role: .malformed) }
        let resource = resource(TargetKey(job: parts.job, instance: parts.instance))
        if parts.name == "target_info" { return SeriesSlot(role: .targetInfo, group: resource) }
        if parts.name == "otel_scope_info" {
            var identity = parts.scope
            identity.attributes = []
            return SeriesSlot(role: .scopeInfo, group: scope(resource, identity))
        }
        let scope = scope(resource, parts.scope)
        let family = family(of: parts.name)
        switch family.metadata.kind {
        case .counter: return counterSlot(ref, parts.name, family, scope, labels)
        case .histogram: return pointSlot(ref, parts.name, family, scope, labels, .classic, parts.bound)
        case .summary: return pointSlot(ref, parts.name, family, scope, labels, .summary, parts.quantile)
        case .info, .stateset: return numberSlot(family, scope, labels, .state)
        case .unknown, .gauge, .gaugehistogram: return numberSlot(family, scope, labels, .gauge)
        }
    }

    private static func parts(_ labels: LabelSet) -> Parts {
        var parts = Parts()
        var attributes = ProtobufWriter(capacity: 64)
        labels.forEach { name, value in
            let text = { String(decoding: value, as: UTF8.self) }
            switch String(decoding: name, as: UTF8.self) {
            case "__name__": parts.name = text()
            case "job": parts.job = text()
            case "instance": parts.instance = text()
            case "le": parts.bound = FloatText.parse(value)
            case "quantile": parts.quantile = FloatText.parse(value)
            case "otel_scope_name": parts.scope.name = Array(value)
            case "otel_scope_version": parts.scope.version = Array(value)
            case "otel_scope_schema_url": parts.scope.schemaURL = Array(value)
            case let label where label.hasPrefix("otel_scope_") && label.utf8.count > 11:
                attribute(
                    UInt8(OTLPField.Scope.attributes << 3 | 2),
                    UnsafeRawBufferPointer(rebasing: name[11...]), value, &attributes)
            default: break
            }
        }
        if !attributes.isEmpty { parts.scope.attributes = attributes.bytes }
        return parts
    }

    private func family(of name: String) -> Family {
        if let own = Self.scrapeFamilies[name] ?? families[name] { return Family(name: name, metadata: own) }
        for suffix in Self.suffixes where name.hasSuffix(suffix) && name.utf8.count > suffix.utf8.count {
            let short = String(name.dropLast(suffix.count))
            guard let metadata = families[short] else { break }
            switch metadata.kind {
            case .counter:
                return Family(name: suffix == "_created" ? short + "_total" : name, metadata: metadata)
            case .histogram, .summary, .info, .stateset: return Family(name: short, metadata: metadata)
            // Series of a family that has no parts are metrics of their own.
            case .unknown, .gauge, .gaugehistogram: return Family(name: name, metadata: metadata)
            }
        }
        return Family(name: name, metadata: MetricMetadata(family: name, kind: .unknown))
    }

    // MARK: Slots

    private mutating func numberSlot(
        _ family: Family, _ scope: Int32, _ labels: LabelSet, _ shape: MetricShape
    ) -> SeriesSlot {
        let attributes = appendAttributes(of: labels, shape)
        return SeriesSlot(
            role: .number, metric: metric(family, scope, shape), attributesStart: attributes.start,
            attributesCount: attributes.count)
    }

    private mutating func counterSlot(
        _ ref: SeriesRef, _ name: String, _ family: Family, _ scope: Int32, _ labels: LabelSet
    ) -> SeriesSlot {
        var slot = numberSlot(family, scope, labels, .counter)
        // Only OpenMetrics tells start times in series of their own, and names families without `_total`.
        guard family.metadata.family != family.name else { return slot }
        let key = GroupKey(metric: slot.metric, attributes: bytes(slot.attributesStart, slot.attributesCount))
        if name != family.name {
            slot.role = .counterStart
            if let pair = pairsByKey[key] {
                pairs[Int(pair)].start = Int32(ref)
            } else {
                pairsByKey[key] = Int32(pairs.count)
                pairs.append(CounterPair(start: Int32(ref)))
            }
        } else if let pair = pairsByKey[key] {
            slot.group = pair
        } else {
            slot.group = Int32(pairs.count)
            pairsByKey[key] = slot.group
            pairs.append(CounterPair())
        }
        return slot
    }

    private mutating func pointSlot(
        _ ref: SeriesRef, _ name: String, _ family: Family, _ scope: Int32, _ labels: LabelSet, _ shape: MetricShape,
        _ bound: Double?
    ) -> SeriesSlot {
        let role: SeriesRole
        if name == family.name, bound == nil {
            role = shape == .classic ? .nativeEnd : .malformed
        } else if name != family.name, name.hasSuffix("_sum") {
            role = .sum
        } else if name != family.name, name.hasSuffix("_count") {
            role = .count
        } else if name != family.name, name.hasSuffix("_created") {
            role = .pointStart
        } else if let bound, !bound.isNaN {
            role = .bucket
        } else {
            role = .malformed
        }
        guard role != .malformed, role != .nativeEnd else { return SeriesSlot(role: role) }
        let metric = metric(family, scope, shape)
        let attributes = appendAttributes(of: labels, shape)
        let key = GroupKey(metric: metric, attributes: bytes(attributes.start, attributes.count))
        let index: Int32
        if let known = groupsByKey[key] {
            index = known
            // The group has these attributes already.
            arena.removeLast(Int(attributes.count))
        } else {
            index = Int32(groups.count)
            groupsByKey[key] = index
            groups.append(
                PointGroup(metric: metric, attributesStart: attributes.start, attributesCount: attributes.count))
        }
        switch role {
        case .sum: groups[Int(index)].sum = Int32(ref)
        case .count: groups[Int(index)].count = Int32(ref)
        case .pointStart: groups[Int(index)].start = Int32(ref)
        default:
            let member = PointGroup.Member(bound: bound ?? 0, series: Int32(ref))
            var place = groups[Int(index)].members.count
            while place > 0, groups[Int(index)].members[place - 1].bound > member.bound { place -= 1 }
            groups[Int(index)].members.insert(member, at: place)
        }
        return SeriesSlot(role: role, metric: metric, group: index)
    }

    /// The metric that native histograms of `series` belong to, made when it is first needed.
    mutating func native(_ series: SeriesRef, _ table: SeriesTable, isCustom: Bool) -> NativeSeries {
        var native = natives[series] ?? NativeSeries()
        if (isCustom ? native.custom : native.exponential) >= 0 { return native }
        let labels = table[series]
        let parts = Self.parts(labels)
        let target = TargetKey(
            job: parts.job.isEmpty ? origin?.targetLabels["job"] ?? "" : parts.job,
            instance: parts.instance.isEmpty ? origin?.targetLabels["instance"] ?? "" : parts.instance)
        var family = family(of: parts.name)
        family.name = parts.name
        family.metadata.kind = .histogram
        let scope = scope(resource(target), parts.scope)
        let shape = isCustom ? MetricShape.custom : .exponential
        let metric = metric(family, scope, shape)
        let attributes = appendAttributes(of: labels, shape)
        if isCustom {
            (native.custom, native.customStart, native.customCount) = (metric, attributes.start, attributes.count)
        } else {
            native.exponential = metric
            (native.exponentialStart, native.exponentialCount) = (attributes.start, attributes.count)
        }
        natives[series] = native
        return native
    }

    private func bytes(_ start: UInt32, _ count: UInt32) -> [UInt8] {
        Array(arena[Int(start)..<Int(start) + Int(count)])
    }

    // MARK: Metrics

    private mutating func metric(_ family: Family, _ scope: Int32, _ shape: MetricShape) -> Int32 {
        let key = MetricKey(scope: scope, shape: shape, name: family.name)
        if let known = metricsByName[key] { return known }
        var writer = ProtobufWriter(capacity: 128)
        writer.field(OTLPField.Metric.name, string: family.name)
        if !family.metadata.help.isEmpty { writer.field(OTLPField.Metric.description, string: family.metadata.help) }
        let unit = MetricUnits.ucum(ofWord: family.metadata.unit)
        if !unit.isEmpty { writer.field(OTLPField.Metric.unit, string: unit) }
        Self.attribute(
            UInt8(OTLPField.Metric.metadata << 3 | 2), "prometheus.type", family.metadata.kind.rawValue, &writer)
        let index = Int32(metrics.count)
        metrics.append(MetricState(scope: scope, shape: shape, header: writer.bytes))
        metricsByName[key] = index
        return index
    }

    private mutating func scope(_ resource: Int32, _ identity: ScopeIdentity) -> Int32 {
        let key = ScopeKey(resource: resource, identity: identity)
        if let known = scopesByIdentity[key] { return known }
        let index = Int32(scopes.count)
        scopes.append(ScopeState(resource: resource, identity: identity))
        scopesByIdentity[key] = index
        return index
    }

    private mutating func resource(_ target: TargetKey) -> Int32 {
        if let known = resourcesByTarget[target] { return known }
        let index = Int32(resources.count)
        resources.append(ResourceState(job: target.job, instance: target.instance))
        resourcesByTarget[target] = index
        return index
    }

    // MARK: Attributes

    /// Appends a text attribute in the field of `tag`.
    static func attribute(
        _ tag: UInt8, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ writer: inout ProtobufWriter
    ) {
        let text = 1 + ProtobufWriter.varintSize(UInt64(value.count)) + value.count
        let content =
            1 + ProtobufWriter.varintSize(UInt64(name.count)) + name.count + 1
            + ProtobufWriter.varintSize(UInt64(text)) + text
        writer.appendByte(tag)
        writer.appendVarint(UInt64(content))
        writer.field(OTLPField.KeyValue.key, bytes: name)
        writer.appendByte(0x12)
        writer.appendVarint(UInt64(text))
        writer.field(OTLPField.AnyValue.string, bytes: value)
    }

    static func attribute(_ tag: UInt8, _ name: String, _ value: String, _ writer: inout ProtobufWriter) {
        var name = name
        var value = value
        name.withUTF8 { name in
            value.withUTF8 { attribute(tag, UnsafeRawBufferPointer(name), UnsafeRawBufferPointer($0), &writer) }
        }
    }

    /// Encodes the labels that are attributes of a data point into the arena.
    private mutating func appendAttributes(of labels: LabelSet, _ shape: MetricShape) -> (start: UInt32, count: UInt32)
    {
        var writer = ProtobufWriter(capacity: labels.encodedByteCount + labels.count * 4)
        labels.forEach { name, value in
            switch String(decoding: name, as: UTF8.self) {
            case "__name__", "instance", "job", "__scheme__", "__metrics_path__": return
            case "le" where shape == .classic || shape == .custom || shape == .exponential: return
            case "quantile" where shape == .summary: return
            case let label where label.hasPrefix("otel_scope_"): return
            default: Self.attribute(shape.attributesTag, name, value, &writer)
            }
        }
        let start = UInt32(truncatingIfNeeded: arena.count)
        writer.withBytes { arena.append(contentsOf: $0) }
        return (start, UInt32(truncatingIfNeeded: writer.count))
    }
}
