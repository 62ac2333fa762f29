import AlloySyntax
import ComponentKit
import Testing
import TextFormats

@Suite("Catalogue")
struct CatalogueTests {
    @Test("Every component declares what the facts say, except for the differences that are listed")
    func components() throws {
        let allowed = try Facts.differences()
        var unused = Set(allowed)
        var unlisted: [Difference] = []
        for type in allComponents {
            guard let facts = try Facts.component(type.spec.name) else {
                Issue.record("there are no facts about \(type.spec.name)")
                continue
            }
            for difference in Comparison(type, facts).differences {
                if let entry = allowed.first(where: difference.isAllowed) {
                    unused.remove(entry)
                } else {
                    unlisted.append(difference)
                }
            }
        }
        let report = unlisted.map(\.description).sorted().joined(separator: "\n")
        #expect(unlisted.isEmpty, "not in Facts/Differences.json:\n\(report)")
        let leftovers = unused.map(\.description).sorted().joined(separator: "\n")
        #expect(unused.isEmpty, "in Facts/Differences.json, but no difference:\n\(leftovers)")
    }

    @Test("Every listed difference says why, and is listed once")
    func reasons() throws {
        let allowed = try Facts.differences()
        for entry in allowed { #expect(entry.reason.count > 10, "\(entry)") }
        let keys = allowed.map { [$0.component, $0.path, $0.what] }
        #expect(Set(keys).count == keys.count)
    }

    @Test("No two components have one name")
    func names() {
        let names = allComponents.map { $0.spec.name }
        #expect(Set(names).count == names.count)
        #expect(!names.isEmpty)
    }

    @Test("A component that declares anything else than its facts is found out")
    func sensitivity() throws {
        let facts = try JSONValue(
            parsing: """
                {"name": "test.odd", "stability": "experimental", "community": true, "singleton": true,
                 "arguments": [
                  {"name": "same", "type": "string", "required": false, "default": "\\"a\\""},
                  {"name": "typed", "type": "int", "required": false, "default": null},
                  {"name": "needed", "type": "string", "required": false, "default": null},
                  {"name": "valued", "type": "duration", "required": false, "default": "\\"1m\\""},
                  {"name": "timed", "type": "duration", "required": false, "default": "\\"60s\\""},
                  {"name": "zero", "type": "bool", "required": false, "default": null},
                  {"name": "old", "type": "string", "required": false, "default": null, "deprecated": true},
                  {"name": "absent", "type": "string", "required": false, "default": null}],
                 "blocks": [
                  {"path": "one", "name": "one", "required": true, "repeatable": true, "labeled": true,
                   "enum": true, "arguments": []},
                  {"path": "two", "name": "two", "required": false, "repeatable": false,
                   "when_omitted": "absent", "arguments": [{"name": "x", "type": "int", "required": true}]},
                  {"path": "three", "name": "three", "required": false, "repeatable": false, "arguments": []}],
                 "exports": [{"name": "found", "type": "string"}]}
                """)
        let found = Comparison(OddComponent.self, facts).differences.map { "\($0.path)|\($0.what)" }
        #expect(
            Set(found) == [
                "|stability", "|community", "|singleton", "typed|type", "needed|required", "valued|default",
                "old|deprecated", "absent|missing", "surplus|extra", "one|required", "one|repeatable", "one|labeled",
                "one|enum", "one > x|extra", "two|when_omitted", "two > x|required", "three|missing",
                "exports > found|missing", "exports > other|extra",
            ])
    }

    @Test("The standard library has the identifiers Alloy has, as settled and with the same deprecated names")
    func standardLibrary() throws {
        let facts = try Facts.load("stdlib")
        let known = facts.list("identifiers").map { fact in
            Identifier(
                name: fact.text("name") ?? "", stability: fact.text("stability") ?? "",
                isFunction: fact.text("kind") == "function",
                alias: fact.list("deprecated_aliases").first?.stringValue)
        }
        let declared = StandardLibrary.entries.map { entry in
            Identifier(
                name: entry.name, stability: entry.stability.rawValue, isFunction: entry.isFunction,
                alias: entry.deprecatedAlias)
        }
        #expect(known.count > 20)
        #expect(Set(declared) == Set(known), "\(Set(declared).symmetricDifference(known))")
        #expect(declared.count == known.count)
        let library = StandardLibrary(minimumStability: .experimental)
        for identifier in known {
            let first = String(identifier.name.prefix { $0 != "." })
            #expect(library.contains(first), "\(identifier.name)")
        }
        for old in facts.list("deprecated") {
            let name = try #require(old.text("name"))
            #expect(StandardLibrary.replacement(forDeprecated: name) == old.text("use"), "\(name)")
            #expect(library.contains(name), "\(name)")
        }
        let namespaces = facts.list("namespaces").compactMap(\.stringValue)
        #expect(
            Set(namespaces)
                == Set(
                    declared.map(\.name).filter { $0.contains(".") }.map { $0.prefix { $0 != "." } }.map { String($0) })
        )
    }

    private struct Identifier: Hashable {
        var name: String
        var stability: String
        var isFunction: Bool
        var alias: String?
    }
}

/// Declares something for every property that the facts in the test deny.
private final class OddComponent: Component {
    static let spec = ComponentSpec("test.odd", .generallyAvailable, "Differs from its facts.")

    struct Inner: Block, Sendable {
        init(from block: inout BlockReader) {
            let _: Int? = block.optional("x", "Optional here.")
        }
    }

    struct Arguments: Block, Sendable {
        init(from block: inout BlockReader) {
            let _: String = block.optional("same", default: "a", "The same.")
            let _: String? = block.optional("typed", "Another type.")
            let _: String = block.required("needed", "Required here.")
            let _: Duration = block.optional("valued", default: .seconds(61), "Another default.")
            let _: Duration = block.optional("timed", default: .seconds(60), "The same, written otherwise.")
            let _: Bool = block.optional("zero", default: false, "The same: zero is no default.")
            let _: String? = block.optional("old", "Not deprecated here.")
            let _: String? = block.optional("surplus", "Not in the facts.")
            let _: Inner? = block.optionalBlock("one", "Another shape.")
            let _: Inner = block.block("two", "Never absent.")
        }
    }

    struct Exports: WritableBlock {
        static let placeholder = Exports()
        func write(to block: inout BlockWriter) { block.attribute("other", "", "Another name.") }
    }

    init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {}
}
