import Essentials
import Telemetry
import Testing
import Wire

@testable import OTTL

/// Records to run statements on.
enum Fixture {
    static let clock = EngineClock.manual(startingAt: 1_700_000_000_123_456_789)

    /// A log record of a scope and a resource with a few attributes each.
    static func logs(body: OTLPAnyValue = "hello world", _ attributes: [(String, OTLPAnyValue)] = []) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .logs)
        begin(&assembler)
        let record = OTLPMessage()
        record.clear(as: .logRecord)
        let log = OTLPLogRecord(record)
        log.timeUnixNano = 1_600_000_000_000_000_001
        log.observedTimeUnixNano = 1_600_000_001_000_000_000
        log.severityNumber = 9
        record.set(OTLPField.LogRecord.severityText, string: "INFO")
        record.set(OTLPField.LogRecord.body, value: body)
        record.attributes.set("http.method" as OTLPKey, to: "GET")
        record.attributes.set("code" as OTLPKey, to: OTLPAnyValue.int(200))
        for (key, value) in attributes { record.attributes.set(OTLPKey(key), to: value) }
        assembler.append(record)
        return assembler.finish()
    }

    /// A span with one event.
    static func traces() -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .traces)
        begin(&assembler)
        let message = OTLPMessage()
        message.clear(as: .span)
        let span = OTLPSpan(message)
        [UInt8](1...16).withRawBytes { span.traceID = $0 }
        [UInt8](1...8).withRawBytes { span.spanID = $0 }
        message.set(OTLPField.Span.name, string: "GET /users/1234")
        message.set(OTLPField.Span.traceState, string: "a=1,b=2")
        span.kind = 2
        span.startTimeUnixNano = 1_600_000_000_000_000_000
        span.endTimeUnixNano = 1_600_000_001_500_000_000
        message.attributes.set("http.method" as OTLPKey, to: "GET")
        let event = OTLPMessage()
        event.clear(as: .event)
        event.set(OTLPField.Event.name, string: "exception")
        OTLPEvent(event).timeUnixNano = 1_600_000_000_500_000_000
        event.encoded.withRawBytes { message.append(OTLPField.Span.events, message: $0) }
        assembler.append(message)
        return assembler.finish()
    }

    /// One metric with the given points.
    static func metric(
        _ kind: OTLPMetricKind, name: String = "requests", _ points: [(OTLPMessage) -> Void],
        _ change: (OTLPMessage) -> Void = { _ in }
    ) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .metrics)
        begin(&assembler)
        let metric = OTLPMessage()
        metric.clear(as: .metric)
        metric.set(OTLPField.Metric.name, string: name)
        metric.set(OTLPField.Metric.description, string: "how many")
        metric.set(OTLPField.Metric.unit, string: "1")
        let data = OTLPMessage()
        data.clear(as: .metricData)
        let point = OTLPMessage()
        for fill in points {
            point.clear(as: kind.pointShape)
            point.set(OTLPField.NumberPoint.timeUnixNano, fixed64: 1_600_000_000_000_000_000)
            fill(point)
            point.encoded.withRawBytes { data.append(OTLPField.MetricData.points, message: $0) }
        }
        change(data)
        data.encoded.withRawBytes { metric.set(kind.rawValue, message: $0) }
        assembler.append(metric)
        return assembler.finish()
    }

    private static func begin(_ assembler: inout OTLPAssembler) {
        let resource = OTLPMessage()
        resource.clear(as: .resource)
        resource.attributes.set("service.name" as OTLPKey, to: "shop")
        assembler.begin(resource: resource)
        let scope = OTLPMessage()
        scope.clear(as: .scope)
        scope.set(OTLPField.Scope.name, string: "library")
        scope.set(OTLPField.Scope.version, string: "1.2")
        assembler.begin(scope: scope)
    }

    /// Runs statements as the transform processor does.
    static func run(_ statements: [String], on batch: OTLPBatch, in context: OTTLContext) throws -> OTLPBatch {
        let compiled = try statements.map { try OTTLStatement($0, in: context) }
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: clock)
        let wanted = level(context)
        return try walker.edit(batch, to: wanted) { level in
            frame.begin(level)
            guard level == wanted else { return .keep }
            for statement in compiled { try statement.run(frame) }
            if context == .metric {
                try frame.finishMetric { frame in for statement in compiled { try statement.run(frame) } }
            } else if context == .datapoint {
                frame.finishPoint()
            }
            return .keep
        }
    }

    static func level(_ context: OTTLContext) -> OTLPWalker.Level {
        switch context {
        case .resource: .resource
        case .scope: .scope
        case .span, .metric, .log: .item
        case .spanevent, .datapoint: .point
        }
    }

    /// What an expression gives on the first record of a context.
    static func value(_ expression: String, of batch: OTLPBatch? = nil, in context: OTTLContext = .log) throws
        -> OTLPAnyValue
    {
        let batch = batch ?? logs()
        var parser = try Parser(expression)
        let compiled = try Compiler(context: context, requiresPrefix: false).expression(try parser.valueExpression())
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: clock)
        var result: OTLPAnyValue?
        try walker.walk(batch, to: level(context)) { level in
            frame.begin(level)
            if level == Self.level(context), result == nil { result = try compiled.evaluate(frame).stored() }
            return .keep
        }
        return try #require(result)
    }

    /// The attributes of the first log record of a batch.
    static func attributes(_ batch: OTLPBatch) throws -> OTLPAnyValue.Map {
        var map: OTLPAnyValue.Map?
        let walker = OTLPWalker()
        try walker.walk(batch, to: .item) { level in
            if level == .item, map == nil { map = walker.item.attributes.map }
            return .keep
        }
        return try #require(map)
    }
}

extension OTLPAnyValue {
    static func object(_ pairs: (String, OTLPAnyValue)...) -> OTLPAnyValue {
        var map = Map()
        for (key, value) in pairs { map[key] = value }
        return .map(map)
    }

    static func list(_ elements: OTLPAnyValue...) -> OTLPAnyValue { .array(elements) }
}
