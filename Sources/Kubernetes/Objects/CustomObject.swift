package import TextFormats

/// The kind of a custom resource, for ``CustomObject``.
package protocol CustomResource: Sendable {
    static var resource: KubernetesResource { get }
}

/// An object of a custom resource: its metadata and its specification as it stands. For kinds with few objects.
package struct CustomObject<Kind: CustomResource>: KubernetesObject {
    package static var resource: KubernetesResource { Kind.resource }

    package var metadata = ObjectMetadata()
    package var spec = JSONValue.null

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try ObjectMetadata(&cursor, &texts)
            case "spec": spec = try cursor.value()
            default: break
            }
        }
    }
}
