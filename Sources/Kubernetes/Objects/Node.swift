package import TextFormats

/// A node, as far as targets need it (core/v1).
package struct Node: KubernetesObject {
    package static let resource = KubernetesResource(plural: "nodes", isNamespaced: false)

    package var metadata = ObjectMetadata()
    package var providerID = ""
    /// Conditions by type: a name and its status.
    package var conditions: [NamedText] = []
    /// Addresses by type, in the order of the status.
    package var addresses: [NamedText] = []
    package var kubeletPort = 0

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try ObjectMetadata(&cursor, &texts)
            case "spec":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    if case "providerID" = member { providerID = try cursor.string() ?? "" }
                }
            case "status": try readStatus(&cursor, &texts)
            default: break
            }
        }
    }

    private mutating func readStatus(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "conditions":
                guard try cursor.enterArray() else { continue }
                while try cursor.nextElement() {
                    guard let condition = try Condition(&cursor, &texts) else { continue }
                    conditions.append(NamedText(name: condition.type, text: condition.status))
                }
            case "addresses":
                guard try cursor.enterArray() else { continue }
                while try cursor.nextElement() {
                    guard try cursor.enterObject() else { continue }
                    var address = NamedText(name: "", text: "")
                    while let member = try cursor.nextMember() {
                        switch member {
                        case "type": address.name = try cursor.text(&texts)
                        case "address": address.text = try cursor.string() ?? ""
                        default: break
                        }
                    }
                    addresses.append(address)
                }
            case "daemonEndpoints":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    guard case "kubeletEndpoint" = member, try cursor.enterObject() else { continue }
                    while let member = try cursor.nextMember() {
                        if case "Port" = member { kubeletPort = try cursor.integer() ?? 0 }
                    }
                }
            default: break
            }
        }
    }

    /// The address the node is reached under; nil when it has none of a known type.
    package var address: String? {
        for type in ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"] {
            if let address = addresses.first(where: { $0.name == type }) { return address.text }
        }
        return nil
    }
}

/// A namespace, of which only the metadata is kept (core/v1).
package struct Namespace: KubernetesObject {
    package static let resource = KubernetesResource(plural: "namespaces", isNamespaced: false)

    package var metadata = ObjectMetadata()

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            if case "metadata" = member { metadata = try ObjectMetadata(&cursor, &texts) }
        }
    }
}
