import TextFormats

extension ZipkinSpan {
    /// Reads a span of version 2.
    init(jsonV2 value: JSONValue) throws(ZipkinError) {
        guard value.objectValue != nil else { throw ZipkinError("a span is no JSON object") }
        try self.init(identifiersOf: value)
        switch value["kind"]?.stringValue {
        case "CLIENT"?: kind = .client
        case "SERVER"?: kind = .server
        case "PRODUCER"?: kind = .producer
        case "CONSUMER"?: kind = .consumer
        default: break
        }
        local = Endpoint(value["localEndpoint"])
        remote = Endpoint(value["remoteEndpoint"])
        for annotation in value["annotations"]?.arrayValue ?? [] {
            annotations.append(
                Annotation(
                    time: try Self.number(annotation["timestamp"]) ?? 0, value: annotation["value"]?.stringValue ?? ""))
        }
        for (key, tag) in value["tags"]?.objectValue ?? [:] {
            guard let text = tag.stringValue else { throw ZipkinError("tag \"\(key)\" is not text") }
            tags[key] = .string(text)
        }
    }

    /// Reads a span of version 1.
    init(jsonV1 value: JSONValue) throws(ZipkinError) {
        guard value.objectValue != nil else { throw ZipkinError("a span is no JSON object") }
        try self.init(identifiersOf: value)
        for annotation in value["annotations"]?.arrayValue ?? [] {
            add(
                annotation: annotation["value"]?.stringValue ?? "", at: try Self.number(annotation["timestamp"]) ?? 0,
                annotation["endpoint"].map { Endpoint($0) })
        }
        for annotation in value["binaryAnnotations"]?.arrayValue ?? [] {
            let tag: OTLPAnyValue
            switch annotation["value"] {
            case .string(let text)?: tag = .string(text)
            case .bool(let value)?: tag = .bool(value)
            case .number(let number)?: tag = number.intValue.map { .int($0) } ?? .double(number.doubleValue)
            default: tag = .string("")
            }
            add(tag: annotation["key"]?.stringValue ?? "", tag, annotation["endpoint"].map { Endpoint($0) })
        }
        finishVersion1()
    }

    private init(identifiersOf value: JSONValue) throws(ZipkinError) {
        guard let trace = value["traceId"]?.stringValue else { throw ZipkinError("a span has no traceId") }
        guard let own = value["id"]?.stringValue else { throw ZipkinError("a span has no id") }
        self.init()
        traceID = try Self.traceID(trace)
        id = try Self.spanID(own)
        if let parent = value["parentId"]?.stringValue, !parent.isEmpty { parentID = try Self.spanID(parent) }
        name = value["name"]?.stringValue ?? ""
        if let time = try Self.number(value["timestamp"]), time > 0 { self.time = time }
        duration = try Self.number(value["duration"]) ?? 0
    }

    /// A count of microseconds, which some clients send with a fraction.
    private static func number(_ value: JSONValue?) throws(ZipkinError) -> UInt64? {
        switch value {
        case nil, .null?: return nil
        case .number(let number)?:
            if let exact = number.uintValue { return exact }
            let double = number.doubleValue
            if double >= 0, double < 1.8e19 { return UInt64(double) }
            throw ZipkinError("\(number.text) is no time")
        default: throw ZipkinError("a time is not a number")
        }
    }
}

extension ZipkinSpan.Endpoint {
    init(_ value: JSONValue?) {
        service = value?["serviceName"]?.stringValue ?? ""
        ipv4 = value?["ipv4"]?.stringValue ?? ""
        ipv6 = value?["ipv6"]?.stringValue ?? ""
        port = value?["port"]?.intValue ?? 0
    }
}

// MARK: Version 1

extension ZipkinSpan {
    /// Notes an annotation: those of the four edges of a call say what the span is, the others are events.
    mutating func add(annotation value: String, at time: UInt64, _ endpoint: Endpoint?) {
        switch value {
        case "cs", "cr": kind = .client
        case "sr", "ss": kind = .server
        case "ms": kind = .producer
        case "mr": kind = .consumer
        default:
            annotations.append(Annotation(time: time, value: value))
            if let endpoint, local.service.isEmpty { local = endpoint }
            return
        }
        if let endpoint { local = endpoint }
        edges.append(time)
    }

    /// Notes a binary annotation: addresses of the other side, the name of the component, or a tag.
    mutating func add(tag key: String, _ value: OTLPAnyValue, _ endpoint: Endpoint?) {
        if key == "sa" || key == "ca" || key == "ma", case .bool = value {
            if let endpoint { remote = endpoint }
            return
        }
        if let endpoint, local.service.isEmpty { local = endpoint }
        tags[key == "lc" ? "component" : key] = value
    }

    /// Where the span says no times of its own, its edges do.
    mutating func finishVersion1() {
        if time == nil, let first = edges.min(), let last = edges.max() {
            time = first
            if duration == 0 { duration = last - first }
        }
        if local.service.isEmpty, let component = tags["component"]?.string { local.service = component }
    }
}
