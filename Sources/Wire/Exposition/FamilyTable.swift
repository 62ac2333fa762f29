import Telemetry

/// Type, help and unit of the metric families of one target, as its comment lines tell.
struct FamilyTable: Sendable {
    enum Field: UInt8, Sendable {
        case help, type, unit
        /// All three at once, as in the protobuf format.
        case all
    }

    /// What a comment line known to the series cache says.
    struct Line: Sendable {
        var family: UInt32
        var field: Field
        var kind: MetricMetadata.Kind
    }

    private struct Family: Sendable {
        var metadata: MetricMetadata
        /// The cache entries of the lines that said so last.
        var help = SeriesCache.none
        var type = SeriesCache.none
        var unit = SeriesCache.none
        var isChanged = true
        /// Hash of the name, to compare with what series names begin with.
        var hash: UInt64
    }

    private var families: [Family] = []
    private var byName: [String: UInt32] = [:]
    private(set) var lines: [Line] = []
    private var changed: [UInt32] = []
    private(set) var byteCount = 0
    /// Differs whenever what is known of any family differs.
    private(set) var revision: UInt64 = 0

    /// The family that the lines being read belong to.
    private(set) var current = SeriesCache.none
    /// Its type; unknown until a line tells.
    private(set) var currentKind = MetricMetadata.Kind.unknown

    /// Forgets every family; the revision goes on, so that it never names two states.
    mutating func forgetAll() {
        let next = revision &+ 1
        self = FamilyTable()
        revision = next
    }

    mutating func beginScrape() {
        current = SeriesCache.none
        currentKind = .unknown
    }

    /// The hash of the current family's name, 0 while there is none.
    var currentHash: UInt64 { current == SeriesCache.none ? 0 : families[Int(current)].hash }
    var currentName: String { current == SeriesCache.none ? "" : families[Int(current)].metadata.family }
    var currentUnit: String { current == SeriesCache.none ? "" : families[Int(current)].metadata.unit }
    var all: [MetricMetadata] { families.map(\.metadata) }

    /// What changed since this was last called.
    mutating func takeChanged() -> [MetricMetadata] {
        let result = changed.map { families[Int($0)].metadata }
        for index in changed { families[Int(index)].isChanged = false }
        changed = []
        return result
    }

    /// Takes a known line as read, if it still says what its family has. False when it must be read again.
    @inline(__always)
    mutating func repeatLine(_ payload: UInt32, entry: UInt32) -> Bool {
        let line = lines[Int(payload)]
        let family = Int(line.family)
        let isCurrent: Bool
        switch line.field {
        case .help: isCurrent = families[family].help == entry
        case .type, .all: isCurrent = families[family].type == entry
        case .unit: isCurrent = families[family].unit == entry
        }
        guard isCurrent else { return false }
        enter(line.family)
        if line.field == .type || line.field == .all { currentKind = line.kind }
        return true
    }

    private mutating func enter(_ family: UInt32) {
        guard family != current else { return }
        current = family
        currentKind = .unknown
    }

    /// Notes what a line says that was not known, or says something else than before, and returns its number.
    mutating func note(
        family name: String, _ field: Field, kind: MetricMetadata.Kind = .unknown, text: String = "", unit: String = "",
        entry: UInt32, reusing payload: UInt32
    ) -> UInt32 {
        let index: UInt32
        if let known = byName[name] {
            index = known
        } else {
            index = UInt32(families.count)
            families.append(
                Family(metadata: MetricMetadata(family: name, kind: .unknown), hash: ByteText.hash(name)))
            changed.append(index)
            byName[name] = index
            revision &+= 1
            byteCount += 160 + name.utf8.count
        }
        enter(index)
        var family = families[Int(index)]
        let before = family.metadata
        switch field {
        case .help:
            family.metadata.help = text
            family.help = entry
        case .type:
            family.metadata.kind = kind
            family.type = entry
            currentKind = kind
        case .unit:
            family.metadata.unit = unit
            family.unit = entry
        case .all:
            family.metadata = MetricMetadata(family: name, kind: kind, help: text, unit: unit)
            family.type = entry
            currentKind = kind
        }
        byteCount += family.metadata.help.utf8.count - before.help.utf8.count
        if family.metadata != before {
            revision &+= 1
            if !family.isChanged {
                family.isChanged = true
                changed.append(index)
            }
        }
        families[Int(index)] = family
        if payload != SeriesCache.none { return payload }
        lines.append(Line(family: index, field: field, kind: kind))
        return UInt32(lines.count - 1)
    }
}
