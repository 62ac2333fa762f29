package import TextFormats

/// A kind of objects of which nothing but the metadata is looked at.
package protocol ObjectKind: Sendable {
    static var resource: KubernetesResource { get }
}

/// The metadata of an object of some kind.
package struct MetadataObject<Kind: ObjectKind>: KubernetesObject {
    package static var resource: KubernetesResource { Kind.resource }

    package var metadata = ObjectMetadata()

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            if case "metadata" = member { metadata = try ObjectMetadata(&cursor, &texts) }
        }
    }
}

package enum NamespaceKind: ObjectKind {
    package static let resource = KubernetesResource(plural: "namespaces", isNamespaced: false)
}

package enum NodeKind: ObjectKind {
    package static let resource = KubernetesResource(plural: "nodes", isNamespaced: false)
}

package enum ReplicaSetKind: ObjectKind {
    package static let resource = KubernetesResource(group: "apps", plural: "replicasets")
}

package enum DeploymentKind: ObjectKind {
    package static let resource = KubernetesResource(group: "apps", plural: "deployments")
}

package enum StatefulSetKind: ObjectKind {
    package static let resource = KubernetesResource(group: "apps", plural: "statefulsets")
}

package enum DaemonSetKind: ObjectKind {
    package static let resource = KubernetesResource(group: "apps", plural: "daemonsets")
}

package enum JobKind: ObjectKind {
    package static let resource = KubernetesResource(group: "batch", plural: "jobs")
}
