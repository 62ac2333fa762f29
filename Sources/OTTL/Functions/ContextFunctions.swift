import TextFormats
import Wire

extension Functions {
    /// Functions that look at the record itself.
    static let contextConverters: [Converter] = [
        Converter("IsRootSpan", [], .bool, in: [.span]) { _ in
            { frame in .bool(OTLPSpan(frame.item).parentSpanID.allSatisfy { $0 == 0 }) }
        },
        Converter("AdjustedCount", [], .double, in: [.span]) { _ in
            { frame in .double(SamplingThreshold.adjustedCount(OTLPSpan(frame.item).traceState)) }
        },
        Converter("HasAttrKeyOnDatapoint", [Parameter("key", .string)], .bool, in: [.metric]) { arguments in
            let key = OTLPKey(arguments.string(0) ?? "")
            return { frame in .bool(try anyPoint(frame) { $0[key] != nil }) }
        },
        Converter(
            "HasAttrOnDatapoint", [Parameter("key", .string), Parameter("expected_val", .string)], .bool, in: [.metric]
        ) { arguments in
            let key = OTLPKey(arguments.string(0) ?? "")
            let wanted = OTLPKey(arguments.string(1) ?? "")
            return { frame in
                .bool(
                    try anyPoint(frame) { attributes in
                        attributes[key]?.stringBytes.map { OTLPBytes.equal($0, wanted.bytes) } ?? false
                    })
            }
        },
    ]

    private static func anyPoint(_ frame: OTTLFrame, _ test: (OTLPAttributes) -> Bool) throws -> Bool {
        guard let kind = frame.metricKind else { return false }
        let point = OTLPMessage()
        var isFound = false
        try frame.data.forEachMessage(OTLPField.MetricData.points) { content in
            if isFound { return }
            try point.load(content, as: kind.pointShape)
            isFound = test(point.attributes)
        }
        return isFound
    }
}

/// How many spans a sampled one stands for.
enum SamplingThreshold {
    /// Of a trace state whose member `ot` has a threshold `th` (opentelemetry.io, "TraceState: Probability Sampling"): the
    /// inverse of the probability. 1 when there is none or it cannot be read.
    static func adjustedCount(_ traceState: UnsafeRawBufferPointer) -> Double {
        let members = String(decoding: traceState, as: UTF8.self).split(separator: ",")
        for member in members {
            let trimmed = member.drop { $0 == " " || $0 == "\t" }
            guard trimmed.hasPrefix("ot=") else { continue }
            for field in trimmed.dropFirst(3).split(separator: ";") where field.hasPrefix("th:") {
                let digits = field.dropFirst(3).prefix { $0.isHexDigit }
                guard (1...14).contains(digits.count), let value = UInt64(digits, radix: 16) else { return 1 }
                let threshold = value << UInt64(4 * (14 - digits.count))
                let whole = Double(UInt64(1) << 56)
                return whole / (whole - Double(threshold))
            }
        }
        return 1
    }
}
