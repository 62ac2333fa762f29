import TextFormats

/// Which endpoint is responsible for a key: consistent hashing as the OpenTelemetry Collector's `loadbalancing`
/// exporter does it, so that a key has the same endpoint with both.
///
/// The ring has 36,000 positions. Each endpoint stands at up to a hundred of them: CRC-32 (IEEE) of its name followed
/// by one byte from 0 to 99, modulo the number of positions; the first endpoint of the list keeps a position that two
/// come to. A key belongs to the first endpoint at or behind its own position. Agrees with
/// open-telemetry/opentelemetry-collector-contrib `exporter/loadbalancingexporter/consistent_hashing.go`.
struct HashRing: Sendable, Equatable {
    private struct Point: Sendable, Equatable {
        var position: UInt32
        var endpoint: Int
    }

    static let positionCount: UInt32 = 36_000
    private static let pointsPerEndpoint: UInt8 = 100

    /// The endpoints as they were given, sorted.
    let endpoints: [String]
    /// Sorted by position, each position once.
    private let points: [Point]

    init(_ names: [String]) {
        endpoints = Set(names).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        var taken: Set<UInt32> = []
        var points: [Point] = []
        for (index, name) in endpoints.enumerated() {
            for number in 0..<Self.pointsPerEndpoint {
                let position = Self.position(of: Array(name.utf8) + [number])
                if taken.insert(position).inserted { points.append(Point(position: position, endpoint: index)) }
            }
        }
        self.points = points.sorted { $0.position < $1.position }
    }

    var isEmpty: Bool { endpoints.isEmpty }

    /// Where a key stands on the ring.
    static func position(of key: some Sequence<UInt8>) -> UInt32 {
        let checksum =
            key.withContiguousStorageIfAvailable { CRC32.checksum(UnsafeRawBufferPointer($0)) }
            ?? CRC32.checksum(Array(key))
        return checksum % positionCount
    }

    /// The index in ``endpoints`` of the endpoint that is responsible for a position; the ring must not be empty.
    func endpoint(at position: UInt32) -> Int {
        var low = 0
        var high = points.count
        while low < high {
            let middle = (low + high) / 2
            if points[middle].position < position { low = middle + 1 } else { high = middle }
        }
        return points[low == points.count ? 0 : low].endpoint
    }
}
