import Essentials
import Glibc
import Telemetry

/// The series of one target by the raw bytes they are exposed as, and which of them live.
///
/// Targets print their series in the same order every time, so each entry knows which one followed it last: a lookup is
/// one `memcmp` while the order holds and a hash where it does not. Labels are built once per entry. Two spellings of
/// the same label set share a series. Entries not seen for a while go when the table moves to a new epoch.
struct SeriesCache: ~Copyable, Sendable {
    struct Entry: BitwiseCopyable, Sendable {
        var keyOffset: UInt32
        var keyLength: UInt32
        var hash: UInt32
        /// A series, or one of ``Code``.
        var ref: UInt32
        /// The scrape that had it last.
        var lastSeen: UInt32
        /// The entry that followed it last.
        var successor: UInt32
        /// Index into a side table of the reader, or ``none``.
        var payload: UInt32
    }

    /// What a series went through; one per reference.
    struct State: BitwiseCopyable, Sendable {
        /// The scrape with its last sample.
        var seen: UInt32
        /// The last scrape with a sample that staleness is tracked for.
        var tracked: UInt32
        /// True when the last complete scrape tracked it: losing it calls for a staleness marker.
        var isLive: Bool
    }

    /// References that are no series.
    enum Code {
        static let dropped = UInt32.max
        static let unmapped = UInt32.max - 1
        static let metadata = UInt32.max - 2
        static let first = UInt32.max - 15
    }

    static let none = UInt32.max

    private(set) var keys = FlatArray<UInt8>()
    private(set) var entries = FlatArray<Entry>()
    private var slots = FlatArray<UInt32>()
    private var slotMask = 0
    private(set) var states = FlatArray<State>()
    private var labelSlots = FlatArray<UInt32>()
    private var labelMask = 0
    private(set) var writer = SeriesTable.Writer()

    /// The number of the current scrape; every one has its own, also those that fail.
    private(set) var iteration: UInt32 = 0
    /// The entry that came first last time.
    var first = SeriesCache.none
    /// Live series, live ones seen again in this scrape, and others tracked in this scrape.
    var liveCount = 0
    var continued = 0
    var fresh = 0

    init() {
        resetTables(entries: 0)
    }

    /// Bytes of memory held, about; label sets at their encoded size.
    var byteCount: Int {
        keys.byteCount + entries.byteCount + slots.byteCount + states.byteCount + labelSlots.byteCount + labelBytes
    }
    private var labelBytes = 0

    mutating func beginScrape() {
        iteration &+= 1
        continued = 0
        fresh = 0
    }

    // MARK: Lookup

    @inline(__always)
    func predicted(after previous: UInt32) -> UInt32 {
        previous == Self.none ? first : entries.base[Int(previous)].successor
    }

    func key(_ entry: UInt32) -> UnsafeRawBufferPointer {
        let entry = entries[Int(entry)]
        return keys.slice(Int(entry.keyOffset), Int(entry.keyLength))
    }

    /// The entry of `key`, tried first as what follows `previous`.
    @inline(__always)
    mutating func find(_ key: UnsafeRawBufferPointer, after previous: UInt32) -> UInt32? {
        let guess = predicted(after: previous)
        if guess != Self.none {
            let entry = entries.base[Int(guess)]
            if Int(entry.keyLength) == key.count, let start = key.baseAddress,
                memcmp(start, keys.base + Int(entry.keyOffset), key.count) == 0
            {
                return guess
            }
        }
        return findByHash(key, after: previous)
    }

    private mutating func findByHash(_ key: UnsafeRawBufferPointer, after previous: UInt32) -> UInt32? {
        let hash = ByteHash.hash(key)
        let short = UInt32(truncatingIfNeeded: hash >> 32)
        var slot = Int(truncatingIfNeeded: hash) & slotMask
        while true {
            let index = slots[slot]
            if index == Self.none { return nil }
            let entry = entries[Int(index)]
            if entry.hash == short, ByteText.equal(keys.slice(Int(entry.keyOffset), Int(entry.keyLength)), key) {
                link(index, after: previous)
                return index
            }
            slot = (slot + 1) & slotMask
        }
    }

    /// Adds `key`, which must not be there. Nil when the cache cannot address more.
    mutating func insert(_ key: UnsafeRawBufferPointer, ref: UInt32, after previous: UInt32) -> UInt32? {
        guard keys.count + key.count < Int(UInt32.max), entries.count < Int(Code.first) else { return nil }
        if (entries.count + 1) * 3 > slots.count * 2 { rehash(slots.count * 2) }
        let hash = ByteHash.hash(key)
        let index = UInt32(entries.count)
        entries.append(
            Entry(
                keyOffset: UInt32(keys.count), keyLength: UInt32(key.count),
                hash: UInt32(truncatingIfNeeded: hash >> 32), ref: ref, lastSeen: iteration, successor: Self.none,
                payload: Self.none))
        keys.append(contentsOf: key)
        place(index, hash)
        link(index, after: previous)
        return index
    }

    private mutating func link(_ index: UInt32, after previous: UInt32) {
        if previous == Self.none { first = index } else { entries[Int(previous)].successor = index }
    }

    private mutating func place(_ index: UInt32, _ hash: UInt64) {
        var slot = Int(truncatingIfNeeded: hash) & slotMask
        while slots[slot] != Self.none { slot = (slot + 1) & slotMask }
        slots[slot] = index
    }

    private mutating func rehash(_ size: Int) {
        slots.removeAll()
        slots.append(repeating: Self.none, count: size)
        slotMask = size - 1
        for index in 0..<entries.count { place(UInt32(index), ByteHash.hash(key(UInt32(index)))) }
    }

    // MARK: Series

    /// The series with these labels, added when there is none.
    mutating func intern(_ labels: LabelSet) -> UInt32 {
        if (states.count + 1) * 3 > labelSlots.count * 2 { rehashLabels(labelSlots.count * 2) }
        var slot = Int(truncatingIfNeeded: labels.hash) & labelMask
        while labelSlots[slot] != Self.none {
            let ref = labelSlots[slot]
            if writer[ref] == labels { return ref }
            slot = (slot + 1) & labelMask
        }
        let ref = writer.append(labels)
        states.append(State(seen: 0, tracked: 0, isLive: false))
        labelSlots[slot] = ref
        labelBytes += labels.encodedByteCount + 64
        return ref
    }

    private mutating func rehashLabels(_ size: Int) {
        labelSlots.removeAll()
        labelSlots.append(repeating: Self.none, count: size)
        labelMask = size - 1
        for ref in 0..<writer.count {
            var slot = Int(truncatingIfNeeded: writer[UInt32(ref)].hash) & labelMask
            while labelSlots[slot] != Self.none { slot = (slot + 1) & labelMask }
            labelSlots[slot] = UInt32(ref)
        }
    }

    /// Notes a sample of `ref` whose loss calls for a staleness marker.
    @inline(__always)
    mutating func track(_ ref: UInt32) {
        let state = states.base + Int(ref)
        guard state.pointee.tracked != iteration else { return }
        state.pointee.tracked = iteration
        if state.pointee.isLive { continued &+= 1 } else { fresh &+= 1 }
    }

    @inline(__always)
    mutating func setSeen(_ ref: UInt32) { states.base[Int(ref)].seen = iteration }

    /// Makes this scrape the one that counts; calls `vanished` with each series that lived and was not in it.
    mutating func commit(_ vanished: (UInt32) -> Void) {
        if continued == liveCount, fresh == 0 { return }
        for ref in 0..<states.count {
            let isTracked = states.base[ref].tracked == iteration
            if states.base[ref].isLive, !isTracked { vanished(UInt32(ref)) }
            states.base[ref].isLive = isTracked
        }
        liveCount = continued + fresh
    }

    /// Ends every series that lived.
    mutating func endAll(_ vanished: (UInt32) -> Void) {
        guard liveCount > 0 else { return }
        for ref in 0..<states.count where states.base[ref].isLive {
            vanished(UInt32(ref))
            states.base[ref].isLive = false
        }
        liveCount = 0
    }

    @inline(__always)
    mutating func setLastSeen(_ entry: UInt32) { entries.base[Int(entry)].lastSeen = iteration }
    mutating func setRef(_ entry: UInt32, _ ref: UInt32) { entries[Int(entry)].ref = ref }
    mutating func setPayload(_ entry: UInt32, _ payload: UInt32) { entries[Int(entry)].payload = payload }

    // MARK: Epochs

    private mutating func resetTables(entries count: Int) {
        keys = FlatArray()
        entries = FlatArray(capacity: count)
        states = FlatArray(capacity: count)
        var size = 64
        while size * 2 < count * 3 + 3 { size *= 2 }
        slots = FlatArray(capacity: size)
        slots.append(repeating: Self.none, count: size)
        slotMask = size - 1
        labelSlots = FlatArray(capacity: size)
        labelSlots.append(repeating: Self.none, count: size)
        labelMask = size - 1
        labelBytes = 0
        first = Self.none
    }

    /// Drops the entries not seen in the last `age` scrapes, metadata and series nobody refers to, and starts a new epoch.
    /// Returns the new reference by the old one, ``none`` where it is gone.
    mutating func compact(keepingLast age: UInt32) -> [UInt32] {
        var oldKeys = FlatArray<UInt8>()
        swap(&oldKeys, &keys)
        var oldEntries = FlatArray<Entry>()
        swap(&oldEntries, &entries)
        var oldStates = FlatArray<State>()
        swap(&oldStates, &states)
        let oldTable = writer.table
        let oldFirst = first
        var kept = 0
        for index in 0..<oldEntries.count where iteration &- oldEntries[index].lastSeen < age { kept += 1 }
        resetTables(entries: kept)
        writer.startEpoch()
        var refs = Array(repeating: Self.none, count: oldStates.count)
        func carry(_ old: UInt32, _ cache: inout SeriesCache) -> UInt32 {
            if refs[Int(old)] != Self.none { return refs[Int(old)] }
            let new = cache.intern(oldTable[old])
            cache.states[Int(new)] = oldStates[Int(old)]
            refs[Int(old)] = new
            return new
        }
        var moved = Array(repeating: Self.none, count: oldEntries.count)
        for index in 0..<oldEntries.count {
            let entry = oldEntries[index]
            guard iteration &- entry.lastSeen < age, entry.ref != Code.metadata else { continue }
            let ref = entry.ref < Code.first ? carry(entry.ref, &self) : entry.ref
            let key = oldKeys.slice(Int(entry.keyOffset), Int(entry.keyLength))
            let new = UInt32(entries.count)
            entries.append(
                Entry(
                    keyOffset: UInt32(keys.count), keyLength: entry.keyLength, hash: entry.hash, ref: ref,
                    lastSeen: entry.lastSeen, successor: entry.successor, payload: Self.none))
            keys.append(contentsOf: key)
            place(new, ByteHash.hash(key))
            moved[index] = new
        }
        for index in 0..<entries.count {
            let successor = entries[index].successor
            entries[index].successor = successor == Self.none ? Self.none : moved[Int(successor)]
        }
        first = oldFirst == Self.none ? Self.none : moved[Int(oldFirst)]
        for ref in 0..<oldStates.count where oldStates[ref].isLive { _ = carry(UInt32(ref), &self) }
        return refs
    }

    /// Entries not seen in the last `age` scrapes.
    func staleEntries(olderThan age: UInt32) -> Int {
        var count = 0
        for index in 0..<entries.count where iteration &- entries.base[index].lastSeen >= age { count += 1 }
        return count
    }
}
