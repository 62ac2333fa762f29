import Kubernetes
import TextFormats
import Wire

/// The attributes of a pod and of its containers, as the rules want them.
final class PodDescription: Sendable {
    struct Container: Sendable {
        var name: String
        var id: String
        var attributes: [AttributeList.Attribute]
        /// A list of one.
        var digest: String?
        /// Of the run the identifier is of.
        var restartCount: Int
        /// Whether the identifier is an attribute.
        var givesID: Bool
    }

    /// Of the objects a pod belongs to.
    struct Surroundings {
        /// The deployment of the pod's replica set: name and UID.
        var deployment: (name: String, uid: String)?
        var cronJobUID: String?
        var clusterUID: String?
    }

    let attributes: [AttributeList.Attribute]
    let containers: [Container]
    let namespace: String
    let nodeName: String
    /// The kind and the UID of what the pod belongs to.
    let owner: (kind: TextRule.Origin, uid: String)?

    init(_ pod: DescribedPod, _ rules: ExtractionRules, _ surroundings: Surroundings, _ keys: AttributeKeys) {
        var writer = DescriptionWriter(rules: rules, list: AttributeList(keys))
        writer.describe(pod, surroundings)
        namespace = pod.metadata.namespace
        nodeName = pod.nodeName
        attributes = writer.list.attributes
        owner = writer.owner
        containers = rules.wantsContainers ? Self.containers(of: pod, rules, keys) : []
    }

    private static func containers(
        of pod: DescribedPod, _ rules: ExtractionRules, _ keys: AttributeKeys
    ) -> [Container] {
        pod.containers.map { container in
            var writer = DescriptionWriter(rules: rules, list: AttributeList(keys))
            writer.set(.containerName, container.name)
            if let image = ImageReference(container.image) {
                writer.set(.imageName, image.repository)
                writer.set(.imageTag, image.tag ?? "latest")
                writer.set(.serviceVersion, image.version)
            }
            writer.set(.serviceInstance, "\(pod.metadata.namespace).\(pod.metadata.name).\(container.name)")
            return Container(
                name: container.name, id: container.id, attributes: writer.list.attributes,
                digest: rules.wants(.imageDigests) ? ImageReference(container.imageID)?.canonical : nil,
                restartCount: container.restartCount, givesID: rules.wants(.containerID) && !container.id.isEmpty)
        }
    }

    /// The name of a replica set without the hash of its template; nil when there is none.
    ///
    /// The hash is a number of 32 bits with each digit written as one of ten characters (`pod-template-hash`): mostly of
    /// ten digits, sometimes of fewer. Upstream takes ten lower-case letters and digits for one.
    static func trimmed(_ name: String) -> String? {
        guard let cut = name.lastIndex(of: "-") else { return nil }
        let hash = name[name.index(after: cut)...].utf8
        let isHash =
            hash.count == 10
            ? hash.allSatisfy { ($0 >= 97 && $0 <= 122) || ($0 >= 48 && $0 <= 57) }
            : (6..<10).contains(hash.count) && hash.allSatisfy { "456789bcdf".utf8.contains($0) }
        return isHash ? String(name[..<cut]) : nil
    }
}

/// Writes what the rules want of a pod, what is more exact over what is less.
private struct DescriptionWriter {
    let rules: ExtractionRules
    var list: AttributeList
    var owner: (kind: TextRule.Origin, uid: String)?

    mutating func describe(_ pod: DescribedPod, _ surroundings: PodDescription.Surroundings) {
        let metadata = pod.metadata
        set(.podName, metadata.name)
        set(.podHostname, pod.hostname)
        set(.podIP, pod.podIP)
        set(.namespace, metadata.namespace)
        set(.serviceNamespace, metadata.namespace)
        set(.podStart, metadata.created)
        set(.podUID, metadata.uid)
        set(.nodeName, pod.nodeName)
        set(.clusterUID, surroundings.clusterUID)
        set(.serviceName, metadata.name)
        addOwner(of: metadata, surroundings)
        for rule in rules.labels where rule.origin == .pod { rule.extract(from: metadata.labels, into: &list) }
        for (field, label) in ExtractionRules.serviceLabels { set(field, metadata.label(label)) }
        for rule in rules.annotations where rule.origin == .pod {
            rule.extract(from: metadata.annotations, into: &list)
        }
    }

    mutating func set(_ field: ExtractionRules.Field, _ text: String?) {
        if rules.wants(field), let text, !text.isEmpty { list.set(field.rawValue, text) }
    }

    private mutating func addOwner(of metadata: ObjectMetadata, _ surroundings: PodDescription.Surroundings) {
        let (name, uid) = (metadata.controllerName, metadata.controllerUID)
        switch metadata.controllerKind {
        case "ReplicaSet":
            set(.replicaSetName, name)
            set(.replicaSetUID, uid)
            set(.serviceName, name)
            let deployment =
                rules.trimsReplicaSetNames ? PodDescription.trimmed(name) : surroundings.deployment?.name
            set(.deploymentName, deployment)
            set(.serviceName, deployment)
            set(.deploymentUID, surroundings.deployment?.uid)
            owner = surroundings.deployment.map { (.deployment, $0.uid) }
        case "DaemonSet":
            set(.daemonSetName, name)
            set(.daemonSetUID, uid)
            set(.serviceName, name)
            owner = (.daemonset, uid)
        case "StatefulSet":
            set(.statefulSetName, name)
            set(.statefulSetUID, uid)
            set(.serviceName, name)
            owner = (.statefulset, uid)
        case "Job":
            set(.jobName, name)
            set(.jobUID, uid)
            set(.serviceName, name)
            owner = (.job, uid)
            // Jobs of a cron job are named after it and the time.
            if let cut = name.lastIndex(of: "-"), name.index(after: cut) < name.endIndex,
                name[name.index(after: cut)...].allSatisfy(\.isNumber)
            {
                set(.cronJobName, String(name[..<cut]))
                set(.serviceName, String(name[..<cut]))
            }
            set(.cronJobUID, surroundings.cronJobUID)
        default: break
        }
    }
}
