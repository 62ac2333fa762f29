import Telemetry
import Testing

@Suite("Relabelling step by step")
struct RelabelingStepsTests {
    private static func rules() throws -> [RelabelRule] {
        [
            try RelabelRule(action: .replace, sourceLabels: ["a", "b"], pattern: "(x+);(.*)", targetLabel: "c"),
            try RelabelRule(action: .keep, sourceLabels: ["a"], pattern: "x.*"),
            try RelabelRule(action: .drop, sourceLabels: ["b"], pattern: "no"),
            try RelabelRule(action: .hashmod, sourceLabels: ["a"], modulus: 7, targetLabel: "shard"),
            try RelabelRule(action: .labelmap, pattern: "__meta_(.+)"),
            try RelabelRule(action: .labeldrop, pattern: "__.*"),
            try RelabelRule(action: .labelkeep, pattern: "[abc]|shard|m"),
            try RelabelRule(action: .uppercase, sourceLabels: ["a"], targetLabel: "a"),
            try RelabelRule(action: .lowercase, sourceLabels: ["b"], targetLabel: "b"),
            try RelabelRule(action: .dropequal, sourceLabels: ["a"], targetLabel: "b"),
            try RelabelRule(action: .keepequal, sourceLabels: ["shard"], targetLabel: "shard"),
        ]
    }

    @Test("The steps come to what the rules come to, for every subset of the rules")
    func agrees() throws {
        let rules = try Self.rules()
        let sets: [LabelSet] = [
            ["a": "xx", "b": "Yes", "__meta_m": "1"], ["a": "xx", "b": "no"], ["a": "y"], [:],
            ["a": "X", "b": "X", "__x": "1"], ["a": "xé", "b": "x\ny"],
        ]
        for chosen in 0..<(1 << rules.count) {
            let relabeling = Relabeling(rules.enumerated().filter { chosen >> $0.offset & 1 == 1 }.map(\.element))
            for labels in sets {
                var scratch = LabelSetBuilder()
                var steps: [RelabelStep] = []
                let result = relabeling.apply(to: labels) { steps.append($0) }
                let expected = relabeling.apply(to: labels, scratch: &scratch)
                guard result == expected else {
                    Issue.record("\(labels): \(result?.description ?? "-"), not \(expected?.description ?? "-")")
                    return
                }
                // Each step begins where the one before ended, and only the last may drop.
                #expect(steps.first?.before ?? labels == labels)
                for (step, next) in zip(steps, steps.dropFirst()) { #expect(step.after == next.before) }
                #expect(steps.dropLast().allSatisfy { $0.after != nil })
            }
        }
    }

    @Test("A step tells the joined values, whether they match, and the rule in words")
    func tells() throws {
        let relabeling = Relabeling([
            try RelabelRule(
                action: .keep, sourceLabels: ["a", "b"], separator: "/", pattern: "x/y")
        ])
        var steps: [RelabelStep] = []
        #expect(relabeling.apply(to: ["a": "x", "b": "z"]) { steps.append($0) } == nil)
        let step = try #require(steps.first)
        #expect(step.source == "x/z")
        #expect(step.isMatch == false)
        #expect(step.rule.summary == #"keep [a, b] =~ "x/y""#)
    }
}
