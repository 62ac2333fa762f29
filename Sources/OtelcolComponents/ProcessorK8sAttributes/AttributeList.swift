import Synchronization
import Wire

/// Attributes with texts for values, each key once, in the order they were set.
struct AttributeList: Sendable {
    struct Attribute: Sendable {
        var key: OTLPKey
        var text: String
    }

    private(set) var attributes: [Attribute] = []
    private let keys: AttributeKeys

    /// Without any attribute.
    init(_ keys: AttributeKeys) { self.keys = keys }

    /// Sets an attribute, in place of the one there is.
    mutating func set(_ name: String, _ text: String) {
        let key = keys[name]
        if let place = attributes.firstIndex(where: { $0.key == key }) {
            attributes[place].text = text
        } else {
            attributes.append(Attribute(key: key, text: text))
        }
    }

    subscript(key: OTLPKey) -> String? { attributes.first { $0.key == key }?.text }
}

/// Makes equal keys share their storage: thousands of pods have attributes of the same names.
///
/// Bounded: when it is full, further keys have storage of their own.
final class AttributeKeys: Sendable {
    private static let capacity = 4096

    private let keys = Mutex<[String: OTLPKey]>([:])

    subscript(name: String) -> OTLPKey {
        keys.withLock { keys in
            if let key = keys[name] { return key }
            let key = OTLPKey(name)
            if keys.count < Self.capacity { keys[name] = key }
            return key
        }
    }
}
