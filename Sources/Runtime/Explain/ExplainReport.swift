package import AlloySyntax
package import ComponentKit

/// What an item meets on its way through the graph.
package struct ExplainReport: Sendable {
    /// What became of the item, here or in the end.
    package enum Verdict: String, Sendable {
        case delivered, dropped, held, passed, unknown
    }

    /// A rule with the place where it is written.
    package struct Step: Sendable {
        package var step: ExplainedStep
        /// The rule's block or attribute as written; empty when it is written nowhere.
        package var text: String
        package var position: SourcePosition?
    }

    /// What leaves a component.
    package struct Result: Sendable {
        package var item: ExplainedItem
        /// The full IDs of the components it goes to.
        package var receivers: [String]
        /// Where it leaves the graph or stays, in words; empty when it goes on.
        package var destination: String
        package var verdict: Verdict
    }

    /// One component that the item meets.
    package struct Stop: Sendable {
        /// From 1 in the order of the report.
        package var number: Int
        /// The stop it comes from; nil where it enters.
        package var previous: Int?
        package var componentID: String
        package var name: String
        package var position: SourcePosition?
        package var item: ExplainedItem
        /// False when the component cannot say what it does; `notes` tell why.
        package var isExplained: Bool
        package var steps: [Step] = []
        package var results: [Result] = []
        package var notes: [String] = []
        package var verdict = Verdict.unknown
    }

    package var item: ExplainedItem
    package var stops: [Stop] = []
    package var notes: [String] = []

    package init(_ item: ExplainedItem) { self.item = item }

    /// Delivered when any way through the graph delivers; otherwise the best of what became of it.
    package var verdict: Verdict {
        let ends = stops.flatMap { stop -> [Verdict] in
            stop.results.isEmpty ? [stop.verdict] : stop.results.map(\.verdict).filter { $0 != .passed }
        }
        for candidate in [Verdict.delivered, .held, .unknown, .dropped] where ends.contains(candidate) {
            return candidate
        }
        return .unknown
    }
}

/// Why an item cannot be followed.
package struct ExplainError: Error, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

extension BlockStatement {
    /// The statement of a rule's path, innermost.
    func statement(at path: RulePath) -> Statement? {
        var current = body
        var found: Statement?
        for part in path.parts {
            let blocks = current.blocks.filter {
                part.name.hasSuffix(".") ? $0.name.hasPrefix(part.name) : $0.name == part.name
            }
            if blocks.indices.contains(part.index) {
                found = .block(blocks[part.index])
                current = blocks[part.index].body
            } else if let attribute = current.attributes.first(where: { $0.name.name == part.name }) {
                found = .attribute(attribute)
                current = Body()
            } else {
                return nil
            }
        }
        return found
    }
}

extension Statement {
    /// The statement in the usual layout, without comments and without what is too long to read.
    func text(limit: Int = 2000) -> String {
        guard let text = try? SourceWriter.text(of: Body([self])) else { return "" }
        let trimmed = text.hasSuffix("\n") ? String(text.dropLast()) : text
        return trimmed.utf8.count <= limit ? trimmed : String(trimmed.prefix(limit)) + " ..."
    }
}
