import TextFormats
import Wire

extension Functions {
    /// Functions that look at the record itself.
    static let contextConverters: [Converter] = [
        Converter("IsRootSpan", [], .bool, in: [.span]) { _ in
            { frame in .bool(OTLPSpan(frame.item).parentSpanID.allSatisfy { $0 == 0 }) }
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

    /// Editors of spans.
    static let spanEditors: [Editor] = []
}
