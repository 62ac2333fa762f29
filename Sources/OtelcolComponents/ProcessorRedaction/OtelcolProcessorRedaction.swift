package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import TextFormats
import Wire

/// Removes attributes that are not allowed and masks values that must not be seen, in resources, scopes, spans, their
/// events, log records with their bodies, and data points.
package final class OtelcolProcessorRedaction: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.redaction", .experimental,
        "Removes attributes that are not allowed and masks values that must not be seen.")

    package struct Arguments: Block, Sendable {
        let rules: RedactionRules
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            rules = RedactionRules(from: &block)
            let url: URLSanitizer? = block.optionalBlock("url_sanitizer", "How URLs are made shorter.")
            let database: DatabaseSanitizer? = block.optionalBlock("db_sanitizer", "How queries are made anonymous.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            if url?.isEnabled ?? false {
                block.reject("url_sanitizer", "is not supported: leave it out or not enabled")
            }
            if database?.isEnabled ?? false {
                block.reject("db_sanitizer", "is not supported: leave it out or not enabled")
            }
        }
    }

    private let arguments: Live<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        let receiver = OTLPProcessor.receiver(
            context, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in try Self.redact(batch, arguments.current.rules) })
        context.export(InputExports(input: receiver))
    }

    private static func redact(_ batch: OTLPBatch, _ rules: RedactionRules) throws -> OTLPBatch {
        let walker = OTLPWalker()
        return try walker.edit(batch, to: batch.kind == .logs ? .item : .point) { level in
            switch level {
            case .resource: rules.apply(to: walker.resource.attributes)
            case .scope: rules.apply(to: walker.scope.attributes)
            case .item:
                guard walker.kind != .metrics else { return .keep }
                rules.apply(to: walker.item.attributes)
                if walker.kind == .logs { rules.applyToBody(walker.logRecord) }
            case .point: rules.apply(to: walker.point.attributes)
            }
            return .keep
        }
    }
}

/// The `url_sanitizer` block.
struct URLSanitizer: Block, Sendable {
    let isEnabled: Bool

    init(from block: inout BlockReader) {
        isEnabled = block.optional("enabled", default: false, "Whether URLs are made shorter.")
        let _: [String] = block.optional("attributes", default: [], "The attributes that are URLs.")
        let _: Bool = block.optional("sanitize_span_name", default: true, "Whether names of spans are made shorter.")
    }
}

/// The `db_sanitizer` block.
struct DatabaseSanitizer: Block, Sendable {
    struct Language: Block, Sendable {
        let isEnabled: Bool

        init(from block: inout BlockReader) {
            isEnabled = block.optional("enabled", default: false, "Whether queries of this kind are made anonymous.")
            let _: [String] = block.optional("attributes", default: [], "The attributes that are queries.")
        }
    }

    let isEnabled: Bool

    init(from block: inout BlockReader) {
        let _: Bool = block.optional("sanitize_span_name", default: true, "Whether names of spans are made anonymous.")
        var isEnabled = false
        for name in ["sql", "redis", "valkey", "memcached", "mongo", "opensearch", "es"] {
            let language: Language = block.block(name, "Queries of \(name).")
            isEnabled = isEnabled || language.isEnabled
        }
        self.isEnabled = isEnabled
    }
}

extension OtelcolProcessorRedaction: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let rule = OTLPExplaining.Rule("redaction") { try Self.redact($0, current.rules) }
        return OTLPExplaining.explanation(of: item, [rule], to: current.output)
    }
}
