import TextFormats

extension ZipkinSpan {
    /// Reads a list of `Span` of `zipkinCore.thrift` in the binary protocol.
    static func list(thrift bytes: UnsafeRawBufferPointer) throws(ThriftError) -> [ZipkinSpan] {
        var reader = ThriftReader(bytes, .binary)
        return try reader.list().compactMap { value in value.structure.map { ZipkinSpan($0) } }
    }

    private init(_ structure: ThriftStruct) {
        self.init()
        func number(_ id: Int16) -> UInt64 { UInt64(bitPattern: structure[id]?.int ?? 0) }
        traceID = SpanDraft.TraceNumber(high: number(12), low: number(1))
        name = structure[3]?.string ?? ""
        id = number(4)
        parentID = number(5)
        if let time = structure[10]?.int, time > 0 { self.time = UInt64(time) }
        duration = UInt64(clamping: structure[11]?.int ?? 0)
        for value in structure[6]?.list ?? [] {
            guard let annotation = value.structure else { continue }
            add(
                annotation: annotation[2]?.string ?? "", at: UInt64(clamping: annotation[1]?.int ?? 0),
                annotation[3]?.structure.map { Endpoint($0) })
        }
        for value in structure[8]?.list ?? [] {
            guard let annotation = value.structure else { continue }
            add(
                tag: annotation[1]?.string ?? "", Self.value(annotation[2]?.bytes ?? [], annotation[3]?.int ?? 0),
                annotation[4]?.structure.map { Endpoint($0) })
        }
        finishVersion1()
    }

    /// The value of a binary annotation by its `AnnotationType`.
    private static func value(_ bytes: [UInt8], _ type: Int64) -> OTLPAnyValue {
        func bits(_ count: Int) -> UInt64? {
            bytes.count < count ? nil : bytes.prefix(count).reduce(0) { $0 << 8 | UInt64($1) }
        }
        let missing = OTLPAnyValue.string("<not enough bytes representing the number>")
        switch type {
        case 0: return .bool(bytes == [1])
        case 1: return .string(Base64.encode(bytes))
        case 2: return bits(2).map { .int(Int64(Int16(truncatingIfNeeded: $0))) } ?? missing
        case 3: return bits(4).map { .int(Int64(Int32(truncatingIfNeeded: $0))) } ?? missing
        case 4: return bits(8).map { .int(Int64(bitPattern: $0)) } ?? missing
        case 5: return bits(8).map { .double(Double(bitPattern: $0)) } ?? missing
        case 6: return .string(bytes)
        default: return .string("<unknown zipkin v1 binary annotation type (\(type))>")
        }
    }
}

extension ZipkinSpan.Endpoint {
    fileprivate init(_ structure: ThriftStruct) {
        self.init()
        let address = UInt32(truncatingIfNeeded: structure[1]?.int ?? 0)
        if address != 0 { ipv4 = Self.ipv4((0..<4).map { UInt8(truncatingIfNeeded: address >> (24 - 8 * $0)) }) }
        port = Int64(UInt16(truncatingIfNeeded: structure[2]?.int ?? 0))
        service = structure[3]?.string ?? ""
        ipv6 = Self.ipv6(structure[4]?.bytes ?? [])
    }
}
