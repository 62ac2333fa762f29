import AlloySyntax
import Essentials
import Testing

@Suite struct BlockSchemaTests {
    @Test("Describing a block yields its arguments")
    func arguments() {
        let schema = BlockSchema.describe(Sample.self)
        #expect(
            schema.arguments.map(\.name) == ["address", "interval", "labels", "token", "mode", "ports"])
        #expect(
            schema.arguments.map(\.typeName) == ["string", "duration", "map(string)", "secret", "string", "list(uint)"])
        #expect(
            schema.arguments.map(\.defaultText) == [nil, "\"1m30s\"", "{}", nil, "\"slow\"", "[80]"])
        #expect(schema.argument("address")?.isRequired == true)
        #expect(schema.argument("address")?.doc == "Address to listen on.")
        #expect(schema.argument("interval")?.isRequired == false)
        #expect(schema.argument("token")?.defaultProse == "no token")
        #expect(schema.argument("mode")?.isDeprecated == true)
        #expect(schema.argument("ports")?.stability == .experimental)
    }

    @Test("Describing a block yields the blocks inside")
    func blocks() throws {
        let schema = BlockSchema.describe(Sample.self)
        #expect(schema.blocks.map(\.name) == ["limits", "tls", "rule", "endpoint"])
        #expect(schema.blocks.map(\.whenOmitted) == [.defaults, .absent, .absent, .absent])
        #expect(schema.blocks.map(\.isRepeatable) == [false, false, true, true])
        #expect(schema.blocks.map(\.isRequired) == [false, false, true, false])
        #expect(schema.blocks.map(\.isLabeled) == [false, false, false, true])
        let limits = try #require(schema.block("limits"))
        #expect(limits.schema.argument("size")?.defaultText == "10")
        #expect(schema.block("tls")?.schema == limits.schema)
        #expect(schema.block("rule")?.schema.argument("action")?.isRequired == true)
    }

    @Test("A group inside itself is described once")
    func recursion() throws {
        let schema = BlockSchema.describe(Pipeline.self)
        #expect(
            schema.flattenedBlocks.map(\.path) == ["stage.json", "stage.match", "stage.match > stage.*"])
        #expect(schema.blocks.allSatisfy { $0.isEnum && $0.isRepeatable })
        #expect(schema.block("stage.match > stage.*")?.recursivePath == "stage.*")
        #expect(schema.block("stage.match")?.schema.argument("selector")?.isRequired == true)
    }

    private struct Tree: Block {
        let name: String
        let children: [Tree]
        let other: Branch?

        init(from block: inout BlockReader) {
            name = block.optional("name", default: "", "Name.")
            children = block.blocks("tree", "Children.")
            other = block.optionalBlock("branch", "Branch.")
        }
    }

    private struct Branch: Block {
        let trees: [Tree]

        init(from block: inout BlockReader) { trees = block.blocks("tree", "Trees.") }
    }

    @Test("A block inside itself is described once and still decodes to any depth")
    func recursiveBlock() throws {
        let schema = BlockSchema.describe(Tree.self)
        #expect(schema.flattenedBlocks.map(\.path) == ["tree", "branch", "branch > tree"])
        #expect(schema.flattenedBlocks.map(\.recursivePath) == ["", nil, ""])
        let result = try decode(Tree.self, "tree { tree { name = \"x\" } }")
        #expect(result.value?.children.first?.children.first?.name == "x")
    }

    private struct Info: WritableBlock {
        struct Peer: WritableBlock {
            var name: String
            static let placeholder = Peer(name: "")
            func write(to block: inout BlockWriter) { block.attribute("name", name, "The peer.") }
        }

        var count: Int
        var key: Secret<String>
        var peers: [Peer]
        var best: Peer?
        var delay: Duration?

        static let placeholder = Info(count: 0, key: Secret(""), peers: [], best: nil, delay: nil)

        func write(to block: inout BlockWriter) {
            block.attribute("count", count, "How many.")
            block.attribute("key", key, "The key.")
            block.attribute("delay", delay, "The delay.")
            block.blocks("peer", peers, "The peers.")
            block.optionalBlock("best", best, "The best peer.")
            block.block("inner", "More.") { $0.attribute("x", [1.5], "Numbers.") }
        }
    }

    @Test("Written blocks give values, an object and a schema")
    func writing() throws {
        let info = Info(
            count: 2, key: Secret("hunter2"), peers: [.init(name: "a"), .init(name: "b")], best: nil, delay: .seconds(5)
        )
        #expect(
            BlockWriter.value(of: info).alloyText == """
                {
                \tcount = 2,
                \tkey   = (secret),
                \tdelay = "5s",
                \tpeer  = [{
                \t\tname = "a",
                \t}, {
                \t\tname = "b",
                \t}],
                \tinner = {
                \t\tx = [1.5],
                \t},
                }
                """)
        #expect(
            BlockWriter.values(of: info).alloyText() == """
                count = 2
                key = (secret)
                delay = "5s"
                peer {
                \tname = "a"
                }
                peer {
                \tname = "b"
                }
                inner {
                \tx = [1.5]
                }

                """)
        let schema = BlockSchema.describe(writable: Info.self)
        #expect(schema.arguments.map(\.typeName) == ["int", "secret", "duration"])
        #expect(schema.flattenedBlocks.map(\.path) == ["peer", "best", "inner"])
        #expect(schema.block("peer")?.isRepeatable == true)
        #expect(schema.block("inner")?.schema.argument("x")?.typeName == "list(float)")
    }
}
