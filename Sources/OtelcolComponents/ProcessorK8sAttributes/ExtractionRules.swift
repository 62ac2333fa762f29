import AlloySyntax
import Kubernetes
import TextFormats

/// What of objects becomes attributes: the `extract` block.
struct ExtractionRules: Block, Sendable, Equatable {
    /// An attribute that can be named in `metadata`.
    enum Field: String, CaseIterable, Sendable {
        case namespace = "k8s.namespace.name"
        case podName = "k8s.pod.name"
        case podUID = "k8s.pod.uid"
        case podHostname = "k8s.pod.hostname"
        case podIP = "k8s.pod.ip"
        case podStart = "k8s.pod.start_time"
        case replicaSetName = "k8s.replicaset.name"
        case replicaSetUID = "k8s.replicaset.uid"
        case deploymentName = "k8s.deployment.name"
        case deploymentUID = "k8s.deployment.uid"
        case daemonSetName = "k8s.daemonset.name"
        case daemonSetUID = "k8s.daemonset.uid"
        case statefulSetName = "k8s.statefulset.name"
        case statefulSetUID = "k8s.statefulset.uid"
        case jobName = "k8s.job.name"
        case jobUID = "k8s.job.uid"
        case cronJobName = "k8s.cronjob.name"
        case cronJobUID = "k8s.cronjob.uid"
        case nodeName = "k8s.node.name"
        case nodeUID = "k8s.node.uid"
        case clusterUID = "k8s.cluster.uid"
        case containerName = "k8s.container.name"
        case containerID = "container.id"
        case imageName = "container.image.name"
        case imageTag = "container.image.tag"
        case imageDigests = "container.image.repo_digests"
        case serviceNamespace = "service.namespace"
        case serviceName = "service.name"
        case serviceVersion = "service.version"
        case serviceInstance = "service.instance.id"
    }

    /// Taken when no list is given.
    static let standard: [Field] = [
        .imageName, .imageTag, .deploymentName, .namespace, .nodeName, .podName, .podStart, .podUID,
    ]
    /// Labels of pods that say what the semantic conventions call the service, the ones that win last.
    static let serviceLabels: [(Field, String)] = [
        (.serviceName, "app.kubernetes.io/name"), (.serviceName, "app.kubernetes.io/instance"),
        (.serviceVersion, "app.kubernetes.io/version"),
    ]
    private static let containerFields: Set<Field> = [
        .containerName, .containerID, .imageName, .imageTag, .imageDigests, .serviceVersion, .serviceInstance,
    ]

    let fields: Set<Field>
    let trimsReplicaSetNames: Bool
    /// In the order they count: of equal attributes the last one wins.
    let labels: [TextRule]
    let annotations: [TextRule]

    init(from block: inout BlockReader) {
        let names: [String] = block.optional("metadata", default: [], "The attributes that are set.")
        let takesOtelAnnotations = block.optional(
            "otel_annotations", default: false,
            "Whether annotations `resource.opentelemetry.io/<name>` of pods become attributes.")
        trimsReplicaSetNames = block.optional(
            "deployment_name_from_replicaset", default: true,
            "Whether the name of a deployment is that of its replica set, less the hash.")
        var annotations = block.blocks("annotation", "Annotations that become attributes.") as [TextRule.Annotation]
        let labels = block.blocks("label", "Labels that become attributes.") as [TextRule.Label]
        if takesOtelAnnotations { annotations.append(.recommended) }
        self.labels = labels.map(\.rule).filter { !$0.isEmpty }
        self.annotations = annotations.map(\.rule).filter { !$0.isEmpty }
        var fields: Set<Field> = []
        for name in names {
            if let field = Field(rawValue: name) {
                fields.insert(field)
            } else {
                block.reject("metadata", "has \"\(name)\", which is no attribute that can be extracted")
            }
        }
        self.fields = names.isEmpty ? Set(Self.standard) : fields
    }

    func wants(_ field: Field) -> Bool { fields.contains(field) }
    var wantsContainers: Bool { !fields.isDisjoint(with: Self.containerFields) }

    /// Whether labels or annotations of these objects are taken.
    func reads(_ origin: TextRule.Origin) -> Bool {
        labels.contains { $0.origin == origin } || annotations.contains { $0.origin == origin }
    }

    /// Which labels and annotations of these objects must be known, beside those named.
    func selection(
        _ selection: ObjectSelection, of origin: TextRule.Origin?, labels: Set<String> = [],
        annotations: Set<String> = []
    ) -> ObjectSelection {
        func kept(_ rules: [TextRule], _ names: Set<String>) -> KeptTexts {
            var names = names
            for rule in rules where rule.origin == origin {
                guard let name = rule.exactKey else { return .all }
                names.insert(name)
            }
            return .named(names)
        }
        var selection = selection
        selection.labels = kept(self.labels, labels)
        selection.annotations = kept(self.annotations, annotations)
        return selection
    }
}

/// Which labels or annotations become which attributes: a `label` or `annotation` block.
struct TextRule: Sendable, Equatable {
    enum Origin: String, CaseIterable, Sendable {
        case pod, namespace, node, deployment, statefulset, daemonset, job
    }

    let origin: Origin
    /// The attribute; a template of the expression's groups where there is one.
    private let name: String
    private let key: String
    private let expression: RegularExpression?
    /// What stands in front of the key where the attribute has no name of its own.
    private let prefix: String

    static func == (left: TextRule, right: TextRule) -> Bool {
        left.origin == right.origin && left.name == right.name && left.key == right.key
            && left.expression?.pattern == right.expression?.pattern && left.prefix == right.prefix
    }

    /// `word` is `label` or `annotation`.
    fileprivate init(_ word: String, from block: inout BlockReader) {
        let name = block.optional("tag_name", default: "", "The attribute; named after the key when empty.")
        key = block.optional("key", default: "", "The name of the \(word).")
        let pattern = block.optional("key_regex", default: "", "An expression for the whole names of \(word)s.")
        let from = block.optional("from", default: "pod", "The object that has the \(word).")
        origin = Origin(rawValue: from) ?? .pod
        if !from.isEmpty, Origin(rawValue: from) == nil {
            block.reject("from", "must be one of \(Origin.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        // Kinds that upstream learned first have the plural.
        let isPlural = [.pod, .namespace, .node].contains(origin)
        prefix = "k8s.\(origin.rawValue).\(word)\(isPlural ? "s" : "")."
        self.name = name
        var expression: RegularExpression?
        if !pattern.isEmpty {
            do {
                expression = try RegularExpression("^(?:\(pattern))$")
            } catch {
                block.reject("key_regex", "\(error)")
            }
        }
        self.expression = expression
        if !key.isEmpty, !pattern.isEmpty { block.reject("only one of key and key_regex can be set") }
        if key.isEmpty, pattern.isEmpty { block.warn("has no effect: neither key nor key_regex is set") }
    }

    private init(recommendedPrefix prefix: String) {
        origin = .pod
        name = "$1"
        key = ""
        expression = try? RegularExpression("^\(prefix)/(.+)$")
        self.prefix = ""
    }

    /// Whether nothing is ever taken.
    var isEmpty: Bool { key.isEmpty && expression == nil }

    /// The one name of what is taken; nil where an expression says which.
    var exactKey: String? { expression == nil ? key : nil }

    func extract(from texts: [NamedText], into attributes: inout AttributeList) {
        guard let expression else {
            if let text = texts.first(where: { $0.name == key }) {
                attributes.set(name.isEmpty ? prefix + key : name, text.text)
            }
            return
        }
        for text in texts where !text.text.isEmpty && expression.matches(text.name) {
            let isTemplate = expression.groupCount > 0 && !name.isEmpty
            attributes.set(
                isTemplate ? expression.replaceAll(text.name, with: name) : prefix + text.name, text.text)
        }
    }

    struct Label: Block {
        let rule: TextRule
        init(from block: inout BlockReader) { rule = TextRule("label", from: &block) }
    }

    struct Annotation: Block {
        let rule: TextRule
        init(from block: inout BlockReader) { rule = TextRule("annotation", from: &block) }
        private init(_ rule: TextRule) { self.rule = rule }

        static var recommended: Annotation {
            Annotation(TextRule(recommendedPrefix: #"resource\.opentelemetry\.io"#))
        }
    }
}
