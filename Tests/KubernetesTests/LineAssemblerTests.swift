import Testing

@testable import Kubernetes

@Suite("LineAssembler")
struct LineAssemblerTests {
    @Test("Lines are the same however the bytes arrive", arguments: [1, 2, 3, 7, 100])
    func chunks(size: Int) async {
        let text = Array("one\n\ntwo three\nrest".utf8)
        var lines = LineAssembler()
        var seen: [String] = []
        for start in stride(from: 0, to: text.count, by: size) {
            await lines.fill { $0.append(contentsOf: text[start..<min(start + size, text.count)]) }
            while let line = lines.nextLine({ String(decoding: $0, as: UTF8.self) }) { seen.append(line) }
        }
        #expect(seen == ["one", "", "two three"])
        #expect(lines.heldBytes == 4)
        #expect(lines.takeRest { String(decoding: $0, as: UTF8.self) } == "rest")
        #expect(lines.heldBytes == 0)
    }
}
