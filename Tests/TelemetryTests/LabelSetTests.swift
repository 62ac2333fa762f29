import Telemetry
import Testing

@Suite("LabelSet")
struct LabelSetTests {
    @Test("Labels are sorted by bytes, unique, and never empty")
    func canonical() {
        let labels = LabelSet([("b", "2"), ("a", "1"), ("c", ""), ("b", "3"), ("B", "0")])
        #expect("\(labels)" == #"{B="0", a="1", b="3"}"#)
        #expect(labels.count == 3)
        #expect(labels["b"] == "3")
        #expect(labels["c"] == nil)
    }

    @Test("The bytes are the labels fields of a remote-write series")
    func encoded() {
        let labels = LabelSet([("ab", "c")])
        labels.withEncoded { bytes in
            #expect(Array(bytes) == [0x0A, 7, 0x0A, 2, 0x61, 0x62, 0x12, 1, 0x63])
        }
    }

    @Test("Long values have long lengths and read back", arguments: [127, 128, 16_383, 16_384, 300_000])
    func longValues(count: Int) {
        let value = String(repeating: "x", count: count)
        let labels = LabelSet([("name", value), ("z", "1")])
        #expect(labels["name"] == value)
        #expect(labels["z"] == "1")
    }

    @Test("Equal labels are equal and hash alike, whatever the order they were set in")
    func equality() {
        let left = LabelSet([("a", "1"), ("b", "2")])
        let right = LabelSet([("b", "2"), ("a", "1")])
        #expect(left == right)
        #expect(left.hash == right.hash)
        #expect(left != LabelSet([("a", "1"), ("b", "3")]))
        #expect(left != LabelSet([("a", "1b"), ("", "2")]))
        #expect(LabelSet([]) == .empty)
    }

    @Test("A builder that changes nothing returns the very same set")
    func identity() {
        let labels = LabelSet([("a", "1"), ("b", "2")])
        var builder = LabelSetBuilder(labels)
        builder.set("a", to: "1")
        builder.set("missing", to: "")
        let same = builder.finish()
        #expect(same.isIdentical(to: labels))
        builder.set("a", to: "2")
        builder.set("a", to: "1")
        let again = builder.finish()
        #expect(again.isIdentical(to: labels))
        builder.remove("b")
        let shorter = builder.finish()
        #expect("\(shorter)" == #"{a="1"}"#)
    }

    @Test("Random edits agree with a dictionary")
    func model() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var builder = LabelSetBuilder()
            var model: [String: String] = [:]
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                let name = "n\(Int.random(in: 0...6, using: &generator))"
                switch Int.random(in: 0...3, using: &generator) {
                case 0:
                    builder.remove(name)
                    model[name] = nil
                case 1:
                    builder.set(name, to: "")
                    model[name] = nil
                default:
                    let value = String(Int.random(in: 0...9999, using: &generator))
                    builder.set(name, to: value)
                    model[name] = value
                }
            }
            let expected = model.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            let made = builder.finish()
            #expect(made.pairs.map { "\($0.name)=\($0.value)" } == expected)
        }
    }
}
