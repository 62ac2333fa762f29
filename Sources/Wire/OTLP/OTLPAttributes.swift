/// The attributes of a message, in the order they came.
///
/// A view on the message: changes are changes of the message. Where a key occurs twice the first one counts, as in the
/// OpenTelemetry Collector. Values read are valid until the message is loaded again.
package struct OTLPAttributes {
    let message: OTLPMessage
    /// The repeated field of the message that holds them.
    let field: Int

    @inline(__always)
    private var tag: UInt32 { UInt32(truncatingIfNeeded: field << 3 | 2) }

    @inline(__always)
    private func slot(of key: UnsafeRawBufferPointer) -> Int? {
        let tag = tag
        let slots = message.slots
        for index in 0..<message.slotCount where slots[index].tag == tag {
            if OTLPBytes.equal(OTLPKeyValue.key(of: slots[index].content), key) { return index }
        }
        return nil
    }

    package var count: Int { message.count(field) }
    package var isEmpty: Bool { !message.has(field) }

    // MARK: Reading

    /// The value of `key`; nil when there is no such attribute.
    package subscript(key: OTLPKey) -> OTLPValue? { value(of: key.bytes) }

    package func value(of key: UnsafeRawBufferPointer) -> OTLPValue? {
        guard let index = slot(of: key) else { return nil }
        return OTLPKeyValue(content: message.slots[index].content).value
    }

    package func contains(_ key: OTLPKey) -> Bool { slot(of: key.bytes) != nil }

    /// The value at a path that begins with a key.
    package func value(at path: some Collection<OTLPPathStep>) -> OTLPValue? {
        guard case .key(let key)? = path.first else { return nil }
        return self[key]?.value(at: path.dropFirst())
    }

    package func forEach(_ body: (_ key: UnsafeRawBufferPointer, _ value: OTLPValue) throws -> Void) rethrows {
        for index in 0..<message.slotCount where message.slots[index].tag == tag {
            let entry = OTLPKeyValue(content: message.slots[index].content)
            try body(entry.key, entry.value)
        }
    }

    /// A copy of all attributes.
    package var map: OTLPAnyValue.Map { OTLPAnyValue.Map(self) }

    // MARK: Changing

    /// Replaces the value of `key`, or adds the attribute. `value` may come from this or any other message.
    package func set(_ key: OTLPKey, to value: OTLPValue) { set(key.bytes, to: value) }

    package func set(_ key: UnsafeRawBufferPointer, to value: OTLPValue) {
        message.placeAttribute(field, at: slot(of: key), key: key, contentCount: value.contentCount) { cursor in
            value.write(to: &cursor)
        }
    }

    package func set(_ key: OTLPKey, to value: OTLPAnyValue) { set(key.bytes, to: value) }

    package func set(_ key: UnsafeRawBufferPointer, to value: OTLPAnyValue) {
        let index = slot(of: key)
        message.withContent(of: value) { content in
            message.placeAttribute(field, at: index, key: key, contentCount: content.count) { $0.bytes(content) }
        }
    }

    package func set(_ key: OTLPKey, to text: String) {
        var text = text
        text.withUTF8 { set(key, to: .string(UnsafeRawBufferPointer($0)) as OTLPValue) }
    }

    /// Sets what is at a path that begins with a key; nil removes it. False when the path leads nowhere, see
    /// ``OTLPAnyValue/set(_:to:)``.
    @discardableResult
    package func set(_ path: some Collection<OTLPPathStep>, to value: OTLPAnyValue?) -> Bool {
        guard case .key(let key)? = path.first else { return false }
        if path.count == 1 {
            if let value { set(key, to: value) } else { remove(key) }
            return true
        }
        var tree = self[key].map { OTLPAnyValue($0) } ?? .empty
        guard tree.set(path.dropFirst(), to: value) else { return false }
        set(key, to: tree)
        return true
    }

    /// Removes an attribute; false when there was none.
    @discardableResult
    package func remove(_ key: OTLPKey) -> Bool { remove(key.bytes) }

    @discardableResult
    package func remove(_ key: UnsafeRawBufferPointer) -> Bool {
        guard let index = slot(of: key) else { return false }
        message.removeSlot(index)
        return true
    }

    package func removeAll() { message.remove(field) }

    /// Keeps the attributes for which `isIncluded` is true.
    package func filter(
        _ isIncluded: (_ key: UnsafeRawBufferPointer, _ value: OTLPValue) throws -> Bool
    ) rethrows {
        for index in 0..<message.slotCount where message.slots[index].tag == tag {
            let entry = OTLPKeyValue(content: message.slots[index].content)
            if try !isIncluded(entry.key, entry.value) { message.removeSlot(index) }
        }
    }

    /// Replaces values: `change` returns the new value of an attribute, or nil to leave it.
    package func replaceValues(
        _ change: (_ key: UnsafeRawBufferPointer, _ value: OTLPValue) throws -> OTLPAnyValue?
    ) rethrows {
        for index in 0..<message.slotCount where message.slots[index].tag == tag {
            let entry = OTLPKeyValue(content: message.slots[index].content)
            guard let value = try change(entry.key, entry.value) else { continue }
            message.withContent(of: value) { content in
                message.placeAttribute(field, at: index, key: entry.key, contentCount: content.count) {
                    $0.bytes(content)
                }
            }
        }
    }

    /// Renames an attribute in place, keeping its value; replaces one that has the new name already.
    @discardableResult
    package func rename(_ key: UnsafeRawBufferPointer, to newKey: UnsafeRawBufferPointer) -> Bool {
        guard let index = slot(of: key) else { return false }
        let content = OTLPKeyValue(content: message.slots[index].content).valueContent ?? OTLPBytes.empty
        if let other = slot(of: newKey), other != index { message.removeSlot(other) }
        message.placeAttribute(field, at: index, key: newKey, contentCount: content.count) { $0.bytes(content) }
        return true
    }

    /// Replaces all attributes with the entries of `map`.
    package func replaceAll(with map: OTLPAnyValue.Map) {
        removeAll()
        for entry in map.entries {
            entry.key.withRawBytes { key in
                message.withContent(of: entry.value) { content in
                    message.placeAttribute(field, at: nil, key: key, contentCount: content.count) { $0.bytes(content) }
                }
            }
        }
    }
}
