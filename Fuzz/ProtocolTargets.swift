import Telemetry
import Wire

/// Readers of the protocols other systems send in.
enum ProtocolTargets {
    static let all: [FuzzTarget] = [zipkin, jaeger, messagePack, influx]

    private static let zipkin = FuzzTarget(
        name: "zipkin",
        seeds: [
            [0]
                + bytes(
                    #"[{"traceId":"a","id":"b","kind":"CLIENT","timestamp":1,"localEndpoint":{"serviceName":"s","port":1}}]"#
                ),
            [1]
                + bytes(
                    #"[{"traceId":"a","id":"b","annotations":[{"timestamp":1,"value":"cs","endpoint":{"ipv4":"1.2.3.4"}}]}]"#
                ),
            [2, 0x0A, 0x0C, 0x0A, 1, 1, 0x1A, 1, 2, 0x2A, 1, 0x61, 0x20, 1],
            [3, 12, 0, 0, 0, 1, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        ],
        dictionary: [
            "\"tags\":{", "\"otlp.link.0\":\"a|b||{}|0\"", "\"annotations\":[", "\"binaryAnnotations\":[",
            "|{\"a\":1}|2",
        ]
    ) { input in
        guard let choice = input.first else { return 0 }
        let encodings: [ZipkinSpans.Encoding] = [.jsonV2, .jsonV1, .protobufV2, .thriftV1]
        let encoding = encodings[Int(choice & 3)]
        let batch = try input.dropFirst().withUnsafeBytes {
            try ZipkinSpans.traces($0, encoding, parsesTags: choice & 4 != 0)
        }
        return try checked(batch)
    }

    private static let jaeger = FuzzTarget(
        name: "jaeger",
        seeds: [
            [
                0, 12, 0, 1, 11, 0, 1, 0, 0, 0, 1, 0x61, 0, 15, 0, 2, 12, 0, 0, 0, 1, 10, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1,
                0, 0,
            ],
            [1, 0x82, 0x81, 1, 9] + bytes("emitBatch") + [0x1C, 0x1C, 0x18, 1, 0x61, 0, 0x19, 0x1C, 0x16, 2, 0, 0, 0],
            [2, 0x0A, 0x10, 0x0A, 0x0A, 0x0A, 1, 1, 0x12, 1, 2, 0x1A, 1, 0x61, 0x32, 0, 0x12, 2, 0x0A, 0],
        ]
    ) { input in
        guard let choice = input.first else { return 0 }
        return try input.dropFirst().withUnsafeBytes { body in
            switch choice % 4 {
            case 0: return try checked(try JaegerBatch(thrift: body, .binary).traces())
            case 1: return try checked(try JaegerBatch(datagram: body, .compact)?.traces() ?? OTLPBatch(kind: .traces))
            case 2: return try checked(try JaegerBatch(postSpansRequest: body).traces())
            default: return try checked(try JaegerBatch(thrift: body, .compact).traces())
            }
        }
    }

    /// Values cut into pieces anywhere are the same values; as messages of Fluentd they are read or refused.
    private static let messagePack = FuzzTarget(
        name: "messagepack",
        seeds: [
            [3, 0x93, 0xA1, 0x74, 3, 0x81, 0xA3] + bytes("log") + [0xA1, 0x78],
            [1, 0x92, 0xA1, 0x74, 0x91, 0x92, 0xD7, 0, 0, 0, 0, 5, 0, 0, 0, 7, 0x80],
            [0, 0xDD, 0, 0, 0, 1, 0xC4, 1, 9, 0xC0],
        ]
    ) { input in
        guard let choice = input.first else { return 0 }
        let stream = Array(input.dropFirst())
        let whole = values(stream, piece: max(stream.count, 1))
        let parts = values(stream, piece: 1 + Int(choice) % 13)
        try require(
            whole.values == parts.values, "\(whole.values.count) values at once, \(parts.values.count) in pieces")
        var items = 0
        for value in whole.values {
            if let forward = try? FluentForward(value, limit: 1 << 20) { items += try checked(forward.logs) }
        }
        return magnitude(whole.values.count) << 8 | magnitude(items) << 1 | (whole.isBroken ? 1 : 0)
    }

    private static func values(_ stream: [UInt8], piece: Int) -> (values: [MessagePackValue], isBroken: Bool) {
        var framer = MessagePackFramer()
        var found: [MessagePackValue] = []
        var offset = 0
        do {
            while offset < stream.count {
                let end = min(offset + piece, stream.count)
                framer.append(Array(stream[offset..<end]))
                offset = end
                while let value = try framer.next() { found.append(value) }
            }
        } catch {
            return (found, true)
        }
        return (found, false)
    }

    private static let influx = FuzzTarget(
        name: "influx",
        seeds: [
            bytes("m,t=a\\ b f=1,i=2i,u=3u,b=t,s=\"x\\\"y\" 5\n# c\nn gauge=1"),
            bytes("prometheus,le=0.5 h_bucket=2 1\nprometheus h_sum=1,h_count=2 1\nh count=1,sum=2,0.5=1 3"),
        ],
        dictionary: [
            ",temporality=delta", ",quantile=0.5", " counter=1", ",service.name=x",
            "start_time=\"2020-01-01T00:00:00Z\"",
        ]
    ) { input in
        var metrics = InfluxMetrics()
        for line in try input.withUnsafeBytes({ try InfluxLine.lines($0) }) { _ = metrics.append(line, at: 1) }
        return try checked(metrics.finish())
    }

    /// What was made of an input must itself be in order.
    private static func checked(_ batch: OTLPBatch) throws -> Int {
        let bytes = batch.requestBytes
        let items = try bytes.withUnsafeBytes { request in
            do { return try OTLPScanner.scan(request, as: batch.kind) } catch {
                throw Finding("made a broken batch: \(error)")
            }
        }
        try require(items == batch.itemCount, "a batch of \(items) items says \(batch.itemCount)")
        return magnitude(items)
    }
}
