import Essentials
package import Telemetry

/// Builds a batch item by item, grouping items of equal resource and scope: for whatever sorts items anew (grouping by
/// attributes or traces, load balancing, routing) or makes them (receivers of other protocols, connectors).
///
/// Resources are equal when their bytes are (resource, schema URL and all else of the group); so are scopes within a
/// resource. Owns what it was given. Not for use by several tasks at once.
///
///     var assembler = OTLPAssembler(kind: .logs)
///     try walker.walk(batch, to: .item) { level in
///         if level == .item { assembler.append(walker) }
///         return .keep
///     }
///     let grouped = assembler.finish()
package struct OTLPAssembler {
    private struct Group {
        /// The fields of the resource group without its scopes.
        var header: [UInt8]
        var scopes: [Int] = []
    }

    private struct ScopeGroup {
        /// The fields of the scope group without its items.
        var header: [UInt8]
        /// Items as fields, tag and length included.
        var items: [UInt8] = []
    }

    package let kind: OTLPBatch.Kind
    /// Items added since the last ``finish()``.
    package private(set) var itemCount = 0
    /// Bytes added since the last ``finish()``, about.
    package private(set) var byteCount = 0

    private var groups: [Group] = []
    private var scopes: [ScopeGroup] = []
    private var groupsByHash: [UInt64: [Int]] = [:]
    private var scopesByHash: [UInt64: [Int]] = [:]
    private var scratch = [UInt8]()
    private var currentScope = -1
    private var currentGroup = -1
    private var lastSeen: (walker: ObjectIdentifier, ordinal: Int)?

    package init(kind: OTLPBatch.Kind) { self.kind = kind }

    package var isEmpty: Bool { groups.isEmpty }

    /// Adds the item a walk has reached, as it is now, to its resource and scope as they are now.
    ///
    /// The walk must not have changed the resource or scope between two items of one group. Of a metric all data points
    /// are added.
    package mutating func append(_ walker: OTLPWalker) {
        precondition(walker.kind == kind, "items of another kind")
        let identity = ObjectIdentifier(walker)
        if lastSeen?.walker != identity || lastSeen?.ordinal != walker.scopeOrdinal {
            begin(resourceOf: walker)
            begin(scopeOf: walker)
            lastSeen = (identity, walker.scopeOrdinal)
        }
        append(walker.item)
    }

    /// Makes a resource the one that following scopes belong to.
    package mutating func begin(resource: OTLPMessage, schemaURL: UnsafeRawBufferPointer = OTLPBytes.empty) {
        scratch.removeAll(keepingCapacity: true)
        Self.append(field: 1, resource, to: &scratch)
        Self.append(field: OTLPField.ResourceGroup.schemaURL, schemaURL, to: &scratch)
        beginGroup()
    }

    /// Makes the walk's resource the one that following scopes belong to.
    package mutating func begin(resourceOf walker: OTLPWalker) {
        scratch.removeAll(keepingCapacity: true)
        if walker.resource.isEdited {
            Self.append(field: 1, walker.resource, to: &scratch)
            Self.append(rest: walker.resourceGroup, except: (1, 2), to: &scratch)
        } else {
            Self.append(rest: walker.resourceGroup, except: (2, 2), to: &scratch)
        }
        beginGroup()
    }

    /// Makes a scope the one that following items belong to.
    package mutating func begin(scope: OTLPMessage, schemaURL: UnsafeRawBufferPointer = OTLPBytes.empty) {
        scratch.removeAll(keepingCapacity: true)
        Self.append(field: 1, scope, to: &scratch)
        Self.append(field: OTLPField.ScopeGroup.schemaURL, schemaURL, to: &scratch)
        beginScope()
    }

    /// Makes the walk's scope the one that following items belong to.
    package mutating func begin(scopeOf walker: OTLPWalker) {
        scratch.removeAll(keepingCapacity: true)
        if walker.scope.isEdited {
            Self.append(field: 1, walker.scope, to: &scratch)
            Self.append(rest: walker.scopeGroup, except: (1, 2), to: &scratch)
        } else {
            Self.append(rest: walker.scopeGroup, except: (2, 2), to: &scratch)
        }
        beginScope()
    }

    /// Adds an item to the scope begun last; a resource or scope not begun is an empty one.
    package mutating func append(_ item: OTLPMessage) {
        let size = item.encodedCount
        appendItem(size) { cursor in item.write(to: &cursor) }
    }

    /// As ``append(_:)`` with the content of a `Span`, `Metric` or `LogRecord`.
    package mutating func append(item content: UnsafeRawBufferPointer) {
        appendItem(content.count) { cursor in cursor.bytes(content) }
    }

    /// The batch of everything added; the assembler is empty again.
    package mutating func finish(client: OTLPClient? = nil) -> OTLPBatch {
        var writer = [UInt8]()
        writer.reserveCapacity(byteCount + groups.count * 16 + scopes.count * 8)
        for group in groups {
            var size = group.header.count
            for index in group.scopes {
                let inner = scopes[index].header.count + scopes[index].items.count
                size += 1 + ProtobufWriter.varintSize(UInt64(inner)) + inner
            }
            Self.appendHeader(0x0A, size, to: &writer)
            writer.append(contentsOf: group.header)
            for index in group.scopes {
                Self.appendHeader(0x12, scopes[index].header.count + scopes[index].items.count, to: &writer)
                writer.append(contentsOf: scopes[index].header)
                writer.append(contentsOf: scopes[index].items)
            }
        }
        let count = itemCount
        self = OTLPAssembler(kind: kind)
        return OTLPBatch(
            kind: kind, chunks: writer.isEmpty ? [] : [OTLPBatch.Chunk(bytes: writer, itemCount: count)],
            client: client)
    }

    // MARK: Groups

    private mutating func beginGroup() {
        lastSeen = nil
        currentScope = -1
        let hash = scratch.withRawBytes { ByteHash.hash($0) }
        if let known = groupsByHash[hash]?.first(where: { groups[$0].header == scratch }) {
            currentGroup = known
            return
        }
        currentGroup = groups.count
        groups.append(Group(header: scratch))
        groupsByHash[hash, default: []].append(currentGroup)
        byteCount += scratch.count
    }

    private mutating func beginScope() {
        lastSeen = nil
        if currentGroup < 0 {
            let header = scratch
            scratch.removeAll(keepingCapacity: true)
            beginGroup()
            scratch = header
        }
        let hash = scratch.withRawBytes { ByteHash.hash($0, seed: UInt64(currentGroup)) }
        let group = groups[currentGroup]
        if let known = scopesByHash[hash]?.first(where: {
            scopes[$0].header == scratch && group.scopes.contains($0)
        }) {
            currentScope = known
            return
        }
        currentScope = scopes.count
        scopes.append(ScopeGroup(header: scratch))
        scopesByHash[hash, default: []].append(currentScope)
        groups[currentGroup].scopes.append(currentScope)
        byteCount += scratch.count
    }

    private mutating func appendItem(_ size: Int, _ write: (inout WriteCursor) -> Void) {
        if currentScope < 0 {
            scratch.removeAll(keepingCapacity: true)
            beginScope()
        }
        let total = 1 + ProtobufWriter.varintSize(UInt64(size)) + size
        let start = scopes[currentScope].items.count
        scopes[currentScope].items.append(contentsOf: repeatElement(0, count: total))
        scopes[currentScope].items.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            var cursor = WriteCursor(base + start)
            cursor.byte(0x12)
            cursor.varint(UInt64(size))
            write(&cursor)
        }
        itemCount += scopes[currentScope].items.withRawBytes { bytes in
            OTLPCounter.items(
                inItem: UnsafeRawBufferPointer(rebasing: bytes[(start + total - size)..<(start + total)]), of: kind)
        }
        byteCount += total
    }

    // MARK: Bytes

    private static func appendHeader(_ tag: UInt8, _ size: Int, to bytes: inout [UInt8]) {
        bytes.append(tag)
        var rest = UInt64(size)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private static func append(field: Int, _ message: OTLPMessage, to bytes: inout [UInt8]) {
        let content = message.encoded
        appendHeader(UInt8(field << 3 | 2), content.count, to: &bytes)
        bytes.append(contentsOf: content)
    }

    private static func append(field: Int, _ content: UnsafeRawBufferPointer, to bytes: inout [UInt8]) {
        if content.isEmpty { return }
        appendHeader(UInt8(field << 3 | 2), content.count, to: &bytes)
        bytes.append(contentsOf: content)
    }

    /// The message's fields without two of them.
    private static func append(rest message: OTLPMessage, except fields: (Int, Int), to bytes: inout [UInt8]) {
        for index in 0..<message.slotCount {
            let slot = message.slots[index]
            if slot.tag == 0 || slot.field == fields.0 || slot.field == fields.1 { continue }
            bytes.append(contentsOf: UnsafeRawBufferPointer(start: slot.start, count: slot.totalCount))
        }
    }
}
