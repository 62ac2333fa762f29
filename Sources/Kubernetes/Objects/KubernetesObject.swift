package import TextFormats

/// Where objects of one kind are found in the API.
package struct KubernetesResource: Sendable, Hashable {
    /// Empty for the core group.
    package let group: String
    package let version: String
    /// The plural in the path: `pods`.
    package let plural: String
    /// False for nodes and namespaces.
    package let isNamespaced: Bool

    package init(group: String = "", version: String = "v1", plural: String, isNamespaced: Bool = true) {
        self.group = group
        self.version = version
        self.plural = plural
        self.isNamespaced = isNamespaced
    }

    /// The path of the collection; nil or an empty namespace is the whole cluster.
    package func path(namespace: String?) -> String {
        var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        if isNamespaced, let namespace, !namespace.isEmpty { path += "/namespaces/" + APIPath.segment(namespace) }
        return path + "/" + plural
    }

    /// The path of one object.
    package func path(namespace: String?, name: String) -> String {
        path(namespace: namespace) + "/" + APIPath.segment(name)
    }
}

/// What of an object is kept, read from its JSON form in one pass.
package protocol KubernetesObject: Sendable, Equatable {
    static var resource: KubernetesResource { get }
    var metadata: ObjectMetadata { get set }

    /// Reads the object at the cursor. What does not fit the API's types counts as missing.
    init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError)
}

/// Namespace and name: what tells objects of one kind apart.
package struct ObjectKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Empty for what is not in a namespace.
    package var namespace: String
    package var name: String

    package init(namespace: String = "", name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// `namespace/name`, or the name alone.
    package var description: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }

    package static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        left.namespace == right.namespace ? left.name < right.name : left.namespace < right.namespace
    }
}

/// The part of an object's metadata that is kept.
package struct ObjectMetadata: Sendable, Equatable {
    package var key = ObjectKey(name: "")
    package var uid = ""
    /// The version of the object while it is handed over; empty in caches, so that versions alone make no difference.
    package var version = ""
    /// Sorted by name.
    package var labels: [NamedText] = []
    /// Sorted by name.
    package var annotations: [NamedText] = []
    /// Kind, name and UID of the owner that controls the object; empty without one.
    package var controllerKind = ""
    package var controllerName = ""
    package var controllerUID = ""
    /// When the object was made, as the server writes times.
    package var created = ""

    package var namespace: String { key.namespace }
    package var name: String { key.name }

    package init() {}

    /// The value of a label.
    package func label(_ name: String) -> String? { labels.first { $0.name == name }?.text }

    /// The value of an annotation.
    package func annotation(_ name: String) -> String? { annotations.first { $0.name == name }?.text }

    init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "name": key.name = try cursor.string() ?? ""
            case "namespace": key.namespace = try cursor.text(&texts)
            case "uid": uid = try cursor.string() ?? ""
            case "resourceVersion": version = try cursor.string() ?? ""
            case "labels": labels = try cursor.namedTexts(texts.labels, &texts)
            case "annotations": annotations = try cursor.namedTexts(texts.annotations, &texts)
            case "ownerReferences": try readOwners(&cursor, &texts)
            case "creationTimestamp": created = try cursor.text(&texts)
            default: break
            }
        }
    }

    private mutating func readOwners(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) {
        guard try cursor.enterArray() else { return }
        while try cursor.nextElement() {
            guard try cursor.enterObject() else { continue }
            var kind = ""
            var name = ""
            var uid = ""
            var isController = false
            while let member = try cursor.nextMember() {
                switch member {
                case "kind": kind = try cursor.text(&texts)
                case "name": name = try cursor.text(&texts)
                case "uid": uid = try cursor.text(&texts)
                case "controller": isController = try cursor.bool() ?? false
                default: break
                }
            }
            if isController, controllerKind.isEmpty {
                (controllerKind, controllerName, controllerUID) = (kind, name, uid)
            }
        }
    }

    /// The version of the object written in `bytes`; empty when it has none.
    static func version(of bytes: UnsafeRawBufferPointer) throws(TextFormatError) -> String {
        var cursor = JSONCursor(bytes)
        var version = ""
        guard try cursor.enterObject() else { return version }
        while let member = try cursor.nextMember() {
            guard case "metadata" = member, try cursor.enterObject() else { continue }
            while let member = try cursor.nextMember() {
                if case "resourceVersion" = member { version = try cursor.string() ?? "" }
            }
        }
        return version
    }
}
