import AlloySyntax
import Kubernetes
import TextFormats

/// Which pods are watched: the `filter` block.
struct PodFilter: Block, Sendable {
    let selection: ObjectSelection
    /// Empty for all nodes.
    let node: String

    init(from block: inout BlockReader) {
        node = block.optional("node", default: "", "The node whose pods are watched.")
        let namespace = block.optional("namespace", default: "", "The namespace whose pods are watched.")
        let fields: [FieldFilter] = block.blocks("field", "A condition on a field of pods.")
        let labels: [LabelFilter] = block.blocks("label", "A condition on a label of pods.")
        var terms = fields.map(\.term)
        if !node.isEmpty { terms.append("spec.nodeName=\(node)") }
        selection = ObjectSelection(
            namespace: namespace.isEmpty ? nil : namespace,
            labelSelector: labels.map(\.term).joined(separator: ","), fieldSelector: terms.joined(separator: ","))
    }

    private struct FieldFilter: Block {
        let term: String

        init(from block: inout BlockReader) {
            let (key, value, operation) = readCondition(&block)
            term = operation == "not-equals" ? "\(key)!=\(value)" : "\(key)=\(value)"
            if !["equals", "not-equals", ""].contains(operation) {
                block.reject("op", "must be equals or not-equals: fields cannot be asked for otherwise")
            }
        }
    }

    private struct LabelFilter: Block {
        let term: String

        init(from block: inout BlockReader) {
            let (key, value, operation) = readCondition(&block)
            switch operation {
            case "not-equals": term = "\(key)!=\(value)"
            case "exists": term = key
            case "does-not-exist": term = "!\(key)"
            default:
                term = "\(key)=\(value)"
                if operation != "equals", !operation.isEmpty {
                    block.reject("op", "must be one of equals, not-equals, exists, does-not-exist")
                }
            }
        }
    }

    private static func readCondition(
        _ block: inout BlockReader
    ) -> (key: String, value: String, operation: String) {
        let key: String = block.required("key", "What is looked at.")
        let value: String = block.required("value", "What it is compared with.")
        return (key, value, block.optional("op", default: "equals", "How it is compared."))
    }
}

/// The `exclude` block, and the annotation by which pods exclude themselves.
struct ExcludedPods: Block, Sendable, Equatable {
    static let annotation = "opentelemetry.io/k8s-processor/ignore"

    private let expressions: [RegularExpression]

    static func == (left: ExcludedPods, right: ExcludedPods) -> Bool {
        left.expressions.map(\.pattern) == right.expressions.map(\.pattern)
    }

    init(from block: inout BlockReader) {
        let pods: [Pod] = block.blocks("pod", "Pods by their names.")
        let given = pods.compactMap(\.expression)
        expressions =
            pods.isEmpty
            ? ["jaeger-agent", "jaeger-collector"].compactMap { try? RegularExpression($0) } : given
    }

    func has(_ pod: DescribedPod) -> Bool {
        let wish = pod.metadata.annotation(Self.annotation)?.split(whereSeparator: \.isWhitespace).first
        return wish?.lowercased() == "true" || expressions.contains { $0.matches(pod.metadata.name) }
    }

    private struct Pod: Block {
        let expression: RegularExpression?

        init(from block: inout BlockReader) {
            let name: String = block.required("name", "An expression for the name.")
            do {
                expression = try RegularExpression(name)
            } catch {
                expression = nil
                block.reject("name", "\(error)")
            }
        }
    }
}
