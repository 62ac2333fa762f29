extension JaegerBatch {
    /// Reads a `Batch` of `jaeger.thrift`, the body of a request to `/api/traces`.
    package init(thrift bytes: UnsafeRawBufferPointer, _ encoding: ThriftReader.Encoding) throws(ThriftError) {
        var reader = ThriftReader(bytes, encoding)
        self.init(try reader.structure())
    }

    /// Reads the datagram of a client: a call of `emitBatch` of `agent.thrift`, whose argument 1 is the batch. Nil for other
    /// calls.
    package init?(datagram bytes: UnsafeRawBufferPointer, _ encoding: ThriftReader.Encoding) throws(ThriftError) {
        var reader = ThriftReader(bytes, encoding)
        guard try reader.call().name == "emitBatch" else { return nil }
        guard let batch = try reader.structure()[1]?.structure else {
            throw .malformed("emitBatch without a batch")
        }
        self.init(batch)
    }

    private init(_ structure: ThriftStruct) {
        self.init()
        process = structure[1]?.structure.map { JaegerProcess($0) }
        spans = (structure[2]?.list ?? []).compactMap { $0.structure.map { JaegerSpan($0) } }
    }
}

extension JaegerProcess {
    fileprivate init(_ structure: ThriftStruct) {
        self.init()
        service = structure[1]?.string ?? ""
        tags = JaegerTag.list(structure[2])
    }
}

extension JaegerTag {
    fileprivate static func list(_ value: ThriftValue?) -> [JaegerTag] {
        (value?.list ?? []).compactMap { $0.structure.map { JaegerTag($0) } }
    }

    private init(_ structure: ThriftStruct) {
        let type = structure[2]?.int ?? 0
        let value: OTLPAnyValue =
            switch type {
            case 0: .string(structure[3]?.bytes ?? [])
            case 1: .double(structure[4]?.double ?? 0)
            case 2: .bool(structure[5]?.bool ?? false)
            case 3: .int(structure[6]?.int ?? 0)
            case 4: .bytes(structure[7]?.bytes ?? [])
            default: .string("<Unknown Jaeger TagType \"\(type)\">")
            }
        self.init(structure[1]?.string ?? "", value)
    }
}

extension JaegerSpan {
    fileprivate init(_ structure: ThriftStruct) {
        func number(_ id: Int16) -> UInt64 { UInt64(bitPattern: structure[id]?.int ?? 0) }
        traceID = SpanDraft.TraceNumber(high: number(2), low: number(1))
        spanID = number(3)
        parentID = number(4)
        name = structure[5]?.string ?? ""
        references = (structure[6]?.list ?? []).compactMap { $0.structure.map(Self.reference) }
        start = number(8) &* 1000
        duration = number(9) &* 1000
        tags = JaegerTag.list(structure[10])
        logs = (structure[11]?.list ?? []).compactMap { value in
            value.structure.map {
                Log(time: UInt64(bitPattern: $0[1]?.int ?? 0) &* 1000, fields: JaegerTag.list($0[2]))
            }
        }
    }

    private static func reference(_ structure: ThriftStruct) -> Reference {
        func number(_ id: Int16) -> UInt64 { UInt64(bitPattern: structure[id]?.int ?? 0) }
        return Reference(
            traceID: .init(high: number(3), low: number(2)), spanID: number(4), isChild: structure[1]?.int ?? 0 == 0)
    }
}
