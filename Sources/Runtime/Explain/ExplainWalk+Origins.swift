import AlloySyntax
import ComponentKit
import Telemetry

extension ExplainWalk {
    /// Targets looked at for the one that was scraped.
    private static let candidateLimit = 2000
    /// Components asked on the way of all of them.
    private static let questionLimit = 20_000

    /// The target, with the component that found it, that is scraped by component `id`, or by any, with these labels.
    ///
    /// Answers only where components run: what they found is what they export.
    func origin(ofScraped labels: LabelSet, at id: String?) -> (place: Int, labels: LabelSet)? {
        guard let instance = labels["instance"] else { return nil }
        var likely: [(place: Int, labels: LabelSet)] = []
        var others: [(place: Int, labels: LabelSet)] = []
        for place in targetSources {
            for (_, value) in graph.nodes[place].instance?.exportsValue.objectFields?.pairs ?? [] {
                guard case .array(let elements) = value else { continue }
                for element in elements {
                    guard let target = try? Target(alloy: element) else { break }
                    let found = target.labels
                    if found["__address__"] == instance {
                        likely.append((place, found))
                    } else if others.count < Self.candidateLimit {
                        others.append((place, found))
                    }
                }
            }
        }
        var questions = Self.questionLimit
        return (likely + others).prefix(Self.candidateLimit).first { candidate in
            isScraped(
                ExplainedItem(.target, candidate.labels), from: candidate.place, field: nil, as: labels, by: id,
                depth: 0, &questions)
        }
    }

    private func isScraped(
        _ item: ExplainedItem, from place: Int, field: String?, as wanted: LabelSet, by id: String?, depth: Int,
        _ questions: inout Int
    ) -> Bool {
        guard depth < 32 else { return false }
        for arrival in arrivals(of: place, field: field) {
            questions -= 1
            guard questions > 0 else { return false }
            let node = graph.nodes[arrival.place]
            guard case .explained(let explanation)? = node.instance?.explain(item) else { continue }
            for result in explanation.results {
                switch result.exit {
                case .targets(let field):
                    if isScraped(
                        result.item, from: arrival.place, field: field, as: wanted, by: id, depth: depth + 1,
                        &questions)
                    {
                        return true
                    }
                case .receivers where result.item.kind == .metric && (id == nil || id == node.id):
                    var builder = LabelSetBuilder(result.item.labels)
                    builder.remove("__name__")
                    if builder.finish() == wanted { return true }
                default: continue
                }
            }
        }
        return false
    }
}
