/// OpenTelemetry data as it came over the wire: traces, metrics or logs.
///
/// The request to send is the concatenation of the chunks, because an OTLP export request is nothing but the repeated
/// field 1 (`resource_spans`, `resource_metrics`, `resource_logs`). Nothing is decoded until a component asks for it, and
/// fields this program does not know travel with the rest. `Wire/OTLP` reads, edits, splits and assembles batches; only
/// bytes that its scanner has accepted belong into a batch.
///
/// Copies share the chunks, so that a fan-out costs nothing.
package struct OTLPBatch: Batch {
    package static var signal: Signal { .otlp }

    /// Which of the three requests the chunks are.
    package enum Kind: UInt8, Sendable, CaseIterable {
        case traces, metrics, logs

        /// The signal, as the ledger and the UI name it.
        package var signal: Signal {
            switch self {
            case .traces: .traces
            case .metrics: .metrics
            case .logs: .logs
            }
        }
    }

    /// Whole fields of an export request, tags included, with the number of items in them.
    package struct Chunk: Sendable, Equatable {
        package let bytes: [UInt8]
        /// Spans, data points or log records.
        package let itemCount: Int

        package init(bytes: [UInt8], itemCount: Int) {
            self.bytes = bytes
            self.itemCount = itemCount
        }
    }

    package let kind: Kind
    package private(set) var chunks: [Chunk]
    /// Spans, data points or log records in all chunks.
    package private(set) var itemCount: Int
    /// Bytes in all chunks.
    package private(set) var byteCount: Int
    /// Who sent the data, where a receiver was asked to keep that.
    package var client: OTLPClient?
    package var takenBy = ReceiverSet()

    package init(kind: Kind, chunks: [Chunk] = [], client: OTLPClient? = nil) {
        self.kind = kind
        self.chunks = chunks
        self.client = client
        itemCount = chunks.reduce(0) { $0 + $1.itemCount }
        byteCount = chunks.reduce(0) { $0 + $1.bytes.count }
    }

    /// A batch of one chunk.
    package init(kind: Kind, bytes: [UInt8], itemCount: Int, client: OTLPClient? = nil) {
        self.init(kind: kind, chunks: [Chunk(bytes: bytes, itemCount: itemCount)], client: client)
    }

    package var signal: Signal { kind.signal }
    package var isEmpty: Bool { itemCount == 0 }

    /// Adds the chunks of a batch of the same kind. The client stays what it was.
    package mutating func append(_ other: OTLPBatch) {
        precondition(other.kind == kind, "batches of different kinds do not join")
        chunks.append(contentsOf: other.chunks)
        itemCount += other.itemCount
        byteCount += other.byteCount
    }

    /// The export request: all chunks in one piece.
    package var requestBytes: [UInt8] {
        if chunks.count == 1 { return chunks[0].bytes }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        for chunk in chunks { bytes.append(contentsOf: chunk.bytes) }
        return bytes
    }
}

/// Who sent a batch: its address, what a receiver with `include_metadata` keeps of the request, and what its
/// authenticator found out.
///
/// Batches of one request share the instance. Names of metadata are lower case, as HTTP/2 has them.
package final class OTLPClient: Sendable {
    /// A header field of the request with all its values.
    package struct Field: Sendable, Hashable {
        package let name: String
        package let values: [String]

        package init(name: String, values: [String]) {
            self.name = name
            self.values = values
        }
    }

    /// The peer's address, such as `10.0.0.1:4711`; empty when unknown.
    package let address: String
    /// Sorted by name.
    package let metadata: [Field]
    /// What the authenticator says of the client, such as `subject`, sorted by name.
    package let authentication: [Field]

    package init(address: String = "", metadata: [Field] = [], authentication: [Field] = []) {
        self.address = address
        self.metadata = metadata.sorted { $0.name < $1.name }
        self.authentication = authentication.sorted { $0.name < $1.name }
    }

    /// The values sent under `name`, in whatever case it is given; empty when there are none.
    package func values(of name: String) -> [String] {
        if let field = metadata.first(where: { $0.name == name }) { return field.values }
        let lowered = name.lowercased()
        return metadata.first { $0.name == lowered }?.values ?? []
    }
}

extension OTLPClient {
    /// Whether what both sent may be sent on as one: exporters are told metadata and identities, but no addresses.
    package static func areInterchangeable(_ left: OTLPClient?, _ right: OTLPClient?) -> Bool {
        left === right
            || (left?.metadata ?? [] == right?.metadata ?? []
                && left?.authentication ?? [] == right?.authentication ?? [])
    }
}

extension OTLPClient: Equatable {
    package static func == (left: OTLPClient, right: OTLPClient) -> Bool {
        left === right
            || (left.address == right.address && left.metadata == right.metadata
                && left.authentication == right.authentication)
    }
}
