import AlloySyntax
import Essentials
import Testing

/// A block with every kind of argument and block.
struct Sample: Block {
    struct Limits: Block {
        let size: Int
        let name: String

        init(from block: inout BlockReader) {
            size = block.optional("size", default: 10, "Most entries.")
            name = block.optional("name", default: "none", "What it is called.")
            if size < 1 { block.reject("size", "must be at least 1") }
        }
    }

    struct Rule: Block {
        let action: String
        let replacement: String?

        init(from block: inout BlockReader) {
            action = block.required("action", "What to do.")
            replacement = block.optional("replacement", "What to put.")
        }
    }

    struct Endpoint: Block {
        let label: String
        let url: String

        init(from block: inout BlockReader) {
            label = block.label("The endpoint's name.")
            url = block.required("url", "Where it is.")
        }
    }

    enum Mode: String, AlloyWord {
        case fast, slow
        static var placeholder: Mode { .fast }
    }

    let address: String
    let interval: Duration
    let labels: [String: String]
    let token: Secret<String>?
    let mode: Mode
    let ports: [UInt16]
    let limits: Limits
    let tls: Limits?
    let rules: [Rule]
    let endpoints: [Endpoint]

    init(from block: inout BlockReader) {
        address = block.required("address", "Address to listen on.")
        interval = block.optional("interval", default: .seconds(90), "Time between attempts.")
        labels = block.optional("labels", default: [:], "Labels to add.")
        token = block.optional("token", "Secret to expect.", defaultProse: "no token")
        mode = block.optional("mode", default: .slow, "How to work.", deprecated: true)
        ports = block.optional("ports", default: [80], "Ports.", stability: .experimental)
        limits = block.block("limits", "Bounds.")
        tls = block.optionalBlock("tls", "Encryption.")
        rules = block.blocks("rule", "Rules.", required: true)
        endpoints = block.blocks("endpoint", "Endpoints.")
    }
}

/// A group of blocks that may hold itself.
indirect enum Stage: Equatable, Sendable {
    case json(source: String)
    case match(selector: String, stages: [Stage])

    struct JSON: Block {
        let source: String

        init(from block: inout BlockReader) {
            source = block.optional("source", default: "line", "Where the text is.")
        }
    }

    static let variants: [Variant<Stage>] = [
        Variant("json", "Reads JSON.", JSON.self) { .json(source: $0.source) },
        Variant("match", "Runs stages on some entries.") { block in
            .match(
                selector: block.required("selector", "Which entries."),
                stages: block.variants("stage", "Stages to run.", Stage.variants))
        },
    ]
}

struct Pipeline: Block {
    let stages: [Stage]

    init(from block: inout BlockReader) {
        stages = block.variants("stage", "Stages, in order.", Stage.variants)
    }
}

/// Decodes a whole text as one block's content.
func decode<B: Block>(
    _ type: B.Type, _ text: String, _ variables: [String: Value] = [:], stability: Stability = .experimental
) throws -> BlockDecoder.Result<B> {
    let tree = try Parser.parse(text)
    let scope = Scope(variables: variables, standardLibrary: StandardLibrary(minimumStability: stability))
    return BlockDecoder.decode(
        type, body: tree.body, range: SourceRange(file: tree.source, start: 0, end: 1), in: scope)
}
