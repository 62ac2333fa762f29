import Essentials
import Glibc
import Telemetry

/// The symbols of remote-write 2.0: what series refer to, within a request and across requests.
///
/// Strings get a number that lasts (their *symbol*), and within a request a position in its table (their *ref*), given out
/// on first use. Each series' symbols are remembered by series table and index. Everything is dropped at once when the
/// strings pass a limit, so memory is bounded.
struct RemoteWriteSymbols: ~Copyable {
    private static let noMetadata = UInt32.max
    private static let unresolved = UInt32.max - 1
    /// Symbols kept before starting over.
    private let symbolLimit: Int

    /// What is known of one series table: flat lists over all its series.
    private struct Series {
        weak var identity: SeriesTable.Identity?
        var epoch: UInt64
        /// Where each series' symbols begin in `symbols`; one more entry than series.
        var starts: [UInt32] = [0]
        /// Name and value symbols of all series.
        var symbols: [UInt32] = []
        /// Index into `families` by series.
        var metadata: [UInt32] = []
        /// The number of `learn` calls that `metadata` reflects.
        var metadataVersion = 0
    }

    private struct Family {
        var kind: UInt64
        var help: UInt32
        var unit: UInt32
    }

    private var interner = SymbolInterner()
    private var tables: [Series] = []
    private var tableIndex: [ObjectIdentifier: Int] = [:]
    private var selected = -1
    private var selectedTable = SeriesTable.empty
    private var startTimes: [SeriesRef: Int64] = [:]

    private var families: [Family] = []
    private var familyIndex: [UInt32: UInt32] = [:]
    private var learned: [String: MetricMetadata] = [:]
    private var metadataVersion = 0

    /// Request number in the upper half, ref in the lower, by symbol.
    private var refs: [UInt64] = []
    private var request: UInt64 = 1
    private var refCount: UInt32 = 1
    private var table = ProtobufWriter(capacity: 16 << 10)

    init(symbolLimit: Int = 1 << 20) {
        self.symbolLimit = symbolLimit
        startRequest()
    }

    var byteCount: Int { table.count }

    mutating func startRequest() {
        if table.count > 4 << 20 { table.shrink(to: 1 << 20) } else { table.removeAll() }
        // The first symbol of every request is the empty string.
        table.appendByte(0x22)
        table.appendByte(0)
        refCount = 1
        request &+= 1
        if interner.count > symbolLimit { forget() }
        if request > UInt64(UInt32.max) - 1 {
            request = 1
            refs = []
        }
    }

    private mutating func forget() {
        interner = SymbolInterner()
        tables = []
        tableIndex = [:]
        selected = -1
        selectedTable = .empty
        refs = []
        families = []
        familyIndex = [:]
        rebuildFamilies()
    }

    /// Calls `body` with the symbols followed by the series in `writer`.
    mutating func withRequest<Result>(
        followedBy writer: borrowing ProtobufWriter, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        writer.withBytes { table.append($0) }
        return try table.withBytes { bytes throws in try body(bytes) }
    }

    // MARK: Series

    /// Makes `batch`'s table the one that series refs refer to.
    mutating func select(_ batch: MetricBatch) {
        startTimes.removeAll(keepingCapacity: true)
        for start in batch.startTimestamps { startTimes[start.series] = start.milliseconds }
        let source = batch.table
        let key = ObjectIdentifier(source.identity)
        if let index = tableIndex[key], tables[index].identity === source.identity {
            selected = index
            if tables[index].epoch != source.epoch {
                tables[index] = Series(identity: source.identity, epoch: source.epoch)
            }
        } else {
            sweep()
            tables.append(Series(identity: source.identity, epoch: source.epoch))
            selected = tables.count - 1
            tableIndex[key] = selected
        }
        selectedTable = source
        let known = tables[selected].starts.count - 1
        if known < source.count { extend(from: known) }
        if tables[selected].metadataVersion != metadataVersion { resolveMetadata() }
    }

    private mutating func sweep() {
        guard tables.count >= 64, tables.count & (tables.count - 1) == 0 else { return }
        tables.removeAll { $0.identity == nil }
        tableIndex = [:]
        for (index, series) in tables.enumerated() {
            if let identity = series.identity { tableIndex[ObjectIdentifier(identity)] = index }
        }
    }

    private mutating func extend(from known: Int) {
        for index in known..<selectedTable.count {
            selectedTable[SeriesRef(index)].forEach { name, value in
                tables[selected].symbols.append(intern(name))
                tables[selected].symbols.append(intern(value))
            }
            tables[selected].starts.append(UInt32(tables[selected].symbols.count))
            tables[selected].metadata.append(Self.unresolved)
        }
        tables[selected].metadataVersion = -1
    }

    private mutating func intern(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let symbol = interner.intern(bytes)
        if Int(symbol) >= refs.count { refs.append(contentsOf: repeatElement(0, count: Int(symbol) + 1 - refs.count)) }
        return symbol
    }

    private mutating func intern(_ text: String) -> UInt32 {
        var text = text
        return text.withUTF8 { intern(UnsafeRawBufferPointer($0)) }
    }

    /// The ref of `symbol` in the request, added to its table when new.
    @inline(__always)
    private mutating func ref(of symbol: UInt32) -> UInt32 {
        let entry = refs[Int(symbol)]
        if entry >> 32 == request { return UInt32(truncatingIfNeeded: entry) }
        return addRef(symbol)
    }

    private mutating func addRef(_ symbol: UInt32) -> UInt32 {
        let bytes = interner[symbol]
        if bytes.isEmpty { return 0 }
        let ref = refCount
        refCount += 1
        refs[Int(symbol)] = request << 32 | UInt64(ref)
        table.field(4, bytes: bytes)
        return ref
    }

    /// Writes `labels_refs` of a series of the selected table.
    @inline(__always)
    mutating func appendSeries(_ series: SeriesRef, to writer: inout ProtobufWriter) {
        let start = Int(tables[selected].starts[Int(series)])
        let end = Int(tables[selected].starts[Int(series) + 1])
        writer.reserve(2 + 5 * (end - start) + 5)
        let packed = writer.beginMessage(1)
        for index in start..<end {
            let symbol = tables[selected].symbols[index]
            writer.appendVarint(UInt64(ref(of: symbol)))
        }
        writer.endMessage(packed)
    }

    /// Writes `labels_refs` of labels that belong to no table.
    mutating func append(_ labels: LabelSet, to writer: inout ProtobufWriter) {
        if labels.isEmpty { return }
        let packed = writer.beginMessage(1)
        labels.forEach { name, value in
            writer.appendVarint(UInt64(ref(of: intern(name))))
            writer.appendVarint(UInt64(ref(of: intern(value))))
        }
        writer.endMessage(packed)
    }

    /// Milliseconds since 1970 at which the counting of `series` began, 0 when unknown.
    @inline(__always)
    func startTimestamp(of series: SeriesRef) -> Int64 {
        startTimes.isEmpty ? 0 : startTimes[series] ?? 0
    }

    // MARK: Metadata

    mutating func learn(_ metadata: [MetricMetadata]) {
        var isChanged = false
        for family in metadata where learned[family.family] != family {
            if learned.count >= 100_000 { learned.removeAll() }
            learned[family.family] = family
            addFamily(family)
            isChanged = true
        }
        if isChanged { metadataVersion += 1 }
    }

    private mutating func rebuildFamilies() {
        for family in learned.values { addFamily(family) }
        metadataVersion += 1
    }

    private mutating func addFamily(_ family: MetricMetadata) {
        let entry = Family(
            kind: family.kind.remoteWriteNumber, help: intern(family.help), unit: intern(family.unit))
        let name = intern(family.family)
        if let index = familyIndex[name] {
            families[Int(index)] = entry
        } else {
            familyIndex[name] = UInt32(families.count)
            families.append(entry)
        }
    }

    /// Finds the family of each series by its name: the very name, or without the suffix of a component series.
    private mutating func resolveMetadata() {
        tables[selected].metadataVersion = metadataVersion
        let nameKey = intern("__name__")
        for series in 0..<tables[selected].metadata.count {
            tables[selected].metadata[series] = family(ofSeries: series, nameKey)
        }
    }

    private static let suffixes: [StaticString] = [
        "_bucket", "_sum", "_count", "_total", "_created", "_info", "_gsum", "_gcount",
    ]

    private mutating func family(ofSeries series: Int, _ nameKey: UInt32) -> UInt32 {
        if familyIndex.isEmpty { return Self.noMetadata }
        let start = Int(tables[selected].starts[series])
        let end = Int(tables[selected].starts[series + 1])
        for index in stride(from: start, to: end, by: 2) where tables[selected].symbols[index] == nameKey {
            let symbol = tables[selected].symbols[index + 1]
            if let family = familyIndex[symbol] { return family }
            let name = interner[symbol]
            for suffix in Self.suffixes where name.count > suffix.utf8CodeUnitCount {
                let stem = name.count - suffix.utf8CodeUnitCount
                guard let tail = name.baseAddress.map({ $0 + stem }),
                    memcmp(tail, suffix.utf8Start, suffix.utf8CodeUnitCount) == 0,
                    let known = interner.find(UnsafeRawBufferPointer(rebasing: name[..<stem])),
                    let family = familyIndex[known]
                else { continue }
                return family
            }
            break
        }
        return Self.noMetadata
    }

    /// Writes the `metadata` of a series of the selected table when it is known.
    @inline(__always)
    mutating func appendMetadata(of series: SeriesRef, to writer: inout ProtobufWriter) {
        let index = tables[selected].metadata[Int(series)]
        if index >= Self.unresolved { return }
        let family = families[Int(index)]
        let message = writer.beginMessage(5)
        if family.kind != 0 { writer.field(1, varint: family.kind) }
        let help = ref(of: family.help)
        if help != 0 { writer.field(3, varint: UInt64(help)) }
        let unit = ref(of: family.unit)
        if unit != 0 { writer.field(4, varint: UInt64(unit)) }
        writer.endMessage(message)
    }
}

/// Numbers for strings: equal bytes get equal numbers, counted from 0.
struct SymbolInterner: ~Copyable {
    private var arena = ProtobufWriter(capacity: 16 << 10)
    /// Start of each symbol in the arena; one more entry than symbols.
    private var starts: [Int] = [0]
    private var hashes: [UInt64] = []
    /// Symbol + 1 by slot; 0 is free. A power of two long, at most half full.
    private var slots = [UInt32](repeating: 0, count: 1024)

    init() {}

    var count: Int { hashes.count }

    /// The bytes of `symbol`, valid until the next change.
    subscript(symbol: UInt32) -> UnsafeRawBufferPointer {
        let start = starts[Int(symbol)]
        let end = starts[Int(symbol) + 1]
        return arena.withBytes { UnsafeRawBufferPointer(rebasing: $0[start..<end]) }
    }

    /// The symbol of `bytes`, if they have one.
    func find(_ bytes: UnsafeRawBufferPointer) -> UInt32? {
        let found = slots[slot(of: bytes, ByteHash.hash(bytes))]
        return found == 0 ? nil : found - 1
    }

    /// The symbol of `bytes`, given out now when they have none.
    mutating func intern(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let hash = ByteHash.hash(bytes)
        let index = slot(of: bytes, hash)
        if slots[index] != 0 { return slots[index] - 1 }
        let symbol = UInt32(hashes.count)
        arena.append(bytes)
        starts.append(arena.count)
        hashes.append(hash)
        slots[index] = symbol + 1
        if hashes.count * 2 > slots.count { grow() }
        return symbol
    }

    private func slot(of bytes: UnsafeRawBufferPointer, _ hash: UInt64) -> Int {
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while slots[index] != 0 {
            let symbol = slots[index] - 1
            if hashes[Int(symbol)] == hash {
                let known = self[symbol]
                if known.count == bytes.count {
                    guard let left = known.baseAddress, let right = bytes.baseAddress, known.count > 0 else {
                        return index
                    }
                    if memcmp(left, right, known.count) == 0 { return index }
                }
            }
            index = (index + 1) & mask
        }
        return index
    }

    private mutating func grow() {
        var larger = [UInt32](repeating: 0, count: slots.count * 2)
        let mask = larger.count - 1
        for (symbol, hash) in hashes.enumerated() {
            var index = Int(truncatingIfNeeded: hash) & mask
            while larger[index] != 0 { index = (index + 1) & mask }
            larger[index] = UInt32(symbol) + 1
        }
        slots = larger
    }
}
