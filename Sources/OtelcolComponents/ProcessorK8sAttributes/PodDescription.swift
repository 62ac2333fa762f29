import Kubernetes
import TextFormats

/// The attributes of a pod and of its containers, as the rules want them.
struct PodDescription: Sendable, Equatable {
    struct Container: Sendable, Equatable {
        var id: String
        var attributes: [String: String]
        /// A list of one.
        var digest: String?
        /// Of the run the identifier is of.
        var restartCount: Int
        /// The identifier, where it is wanted.
        var wantedID: String?
    }

    /// Names of attributes with their values.
    var attributes: [String: String] = [:]
    var containers: [String: Container] = [:]
    var namespace: String
    var nodeName: String
    /// UIDs of what the pod belongs to, by the kind of object.
    var owners: [TextRule.Origin: String] = [:]

    /// Of the objects a pod belongs to.
    struct Surroundings {
        /// The deployment of the pod's replica set: name and UID.
        var deployment: (name: String, uid: String)?
        var cronJobUID: String?
        var clusterUID: String?
    }

    init(_ pod: DescribedPod, _ rules: ExtractionRules, _ surroundings: Surroundings) {
        namespace = pod.metadata.namespace
        nodeName = pod.nodeName
        set(.podName, pod.metadata.name, rules)
        set(.podHostname, pod.hostname, rules)
        set(.podIP, pod.podIP, rules)
        set(.namespace, namespace, rules)
        set(.serviceNamespace, namespace, rules)
        set(.podStart, pod.metadata.created, rules)
        set(.podUID, pod.metadata.uid, rules)
        set(.nodeName, pod.nodeName, rules)
        set(.clusterUID, surroundings.clusterUID, rules)
        set(.serviceName, pod.metadata.name, rules)
        addOwner(of: pod.metadata, rules, surroundings)
        for rule in rules.labels where rule.origin == .pod {
            rule.extract(from: pod.metadata.labels, into: &attributes)
        }
        set(.serviceName, pod.metadata.label("app.kubernetes.io/name"), rules)
        set(.serviceName, pod.metadata.label("app.kubernetes.io/instance"), rules)
        set(.serviceVersion, pod.metadata.label("app.kubernetes.io/version"), rules)
        for rule in rules.annotations where rule.origin == .pod {
            rule.extract(from: pod.metadata.annotations, into: &attributes)
        }
        if rules.wantsContainers { addContainers(of: pod, rules) }
    }

    private mutating func set(_ field: ExtractionRules.Field, _ text: String?, _ rules: ExtractionRules) {
        if rules.wants(field), let text, !text.isEmpty { attributes[field.rawValue] = text }
    }

    // MARK: Owners

    private mutating func addOwner(
        of metadata: ObjectMetadata, _ rules: ExtractionRules, _ surroundings: Surroundings
    ) {
        let (name, uid) = (metadata.controllerName, metadata.controllerUID)
        switch metadata.controllerKind {
        case "ReplicaSet":
            set(.replicaSetName, name, rules)
            set(.replicaSetUID, uid, rules)
            set(.serviceName, name, rules)
            let deployment =
                rules.trimsReplicaSetNames ? Self.trimmed(name) : surroundings.deployment?.name
            set(.deploymentName, deployment, rules)
            set(.serviceName, deployment, rules)
            set(.deploymentUID, surroundings.deployment?.uid, rules)
            owners[.deployment] = surroundings.deployment?.uid
        case "DaemonSet":
            set(.daemonSetName, name, rules)
            set(.daemonSetUID, uid, rules)
            set(.serviceName, name, rules)
            owners[.daemonset] = uid
        case "StatefulSet":
            set(.statefulSetName, name, rules)
            set(.statefulSetUID, uid, rules)
            set(.serviceName, name, rules)
            owners[.statefulset] = uid
        case "Job":
            set(.jobName, name, rules)
            set(.jobUID, uid, rules)
            set(.serviceName, name, rules)
            owners[.job] = uid
            // Jobs of a cron job are named after it and the time.
            if let cut = name.lastIndex(of: "-"), name.index(after: cut) < name.endIndex,
                name[name.index(after: cut)...].allSatisfy(\.isNumber)
            {
                set(.cronJobName, String(name[..<cut]), rules)
                set(.serviceName, String(name[..<cut]), rules)
            }
            set(.cronJobUID, surroundings.cronJobUID, rules)
        default: break
        }
    }

    /// The name of a replica set without the hash of its template; nil when there is none.
    static func trimmed(_ name: String) -> String? {
        guard let cut = name.lastIndex(of: "-"), cut != name.startIndex else { return nil }
        let hash = name[name.index(after: cut)...]
        guard !hash.isEmpty, hash.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) }) else { return nil }
        return String(name[..<cut])
    }

    // MARK: Containers

    private mutating func addContainers(of pod: DescribedPod, _ rules: ExtractionRules) {
        for container in pod.containers {
            var texts: [String: String] = [:]
            func set(_ field: ExtractionRules.Field, _ text: String?) {
                if rules.wants(field), let text, !text.isEmpty { texts[field.rawValue] = text }
            }
            set(.containerName, container.name)
            if let image = ImageReference(container.image) {
                set(.imageName, image.repository)
                set(.imageTag, image.tag ?? "latest")
                set(.serviceVersion, image.version)
            }
            set(.serviceInstance, "\(pod.metadata.namespace).\(pod.metadata.name).\(container.name)")
            containers[container.name] = Container(
                id: container.id, attributes: texts,
                digest: rules.wants(.imageDigests) ? ImageReference(container.imageID)?.canonical : nil,
                restartCount: container.restartCount,
                wantedID: rules.wants(.containerID) && !container.id.isEmpty ? container.id : nil)
        }
    }
}
