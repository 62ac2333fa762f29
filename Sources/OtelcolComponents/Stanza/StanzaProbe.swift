package import AlloySyntax
import Telemetry
import TextFormats
import Wire

/// The readers of logs behind an interface that knows bytes only: for the fuzzer, which sees no other type of theirs.
package struct StanzaProbe: Sendable {
    private let pipeline: StanzaPipeline

    /// A pipeline of the operators of a configuration; throws what is wrong with them.
    package init(_ operators: [[String: Value]]) throws {
        var problems: [String] = []
        pipeline = StanzaPipeline(operators, problems: &problems)
        if let problem = problems.first { throw StanzaError(problem) }
    }

    /// Works on two logs of a file, all parts of which are let go at the end. The number of entries and of bytes they
    /// encode to; throws when an operator failed.
    package func process(_ log: [UInt8]) throws -> (entries: Int, bytes: Int) {
        var state = StanzaPipeline.State(pipeline)
        var output: [StanzaEntry] = []
        var tally = LogTally()
        for _ in 0..<2 {
            var entry = StanzaEntry(body: .text(log), observed: 1_700_000_000_000_000_000)
            entry.attributes["log.file.path"] = .text(log)
            state.process(entry, into: &output, &tally)
        }
        state.flushAll(into: &output, &tally)
        let batch = StanzaEntry.batch(of: output)
        _ = try OTLPScanner.batch(batch.chunks.flatMap(\.bytes), as: .logs, client: nil)
        if let problem = tally.problem { throw problem }
        return (output.count, batch.byteCount)
    }

    /// Compiles and runs an expression.
    package static func evaluate(_ text: String) throws -> Int {
        let expression = try StanzaExpression(text)
        var entry = StanzaEntry(body: .string(text), observed: 0)
        entry.attributes["a"] = .array([.int(1), .string("x"), .double(0.5)])
        return OTLPText.string(try expression.value(entry).anyValue).utf8.count
    }

    private static let rules: [LogSplitter.Rule] = {
        let patterns = ["(?m)^#", "(?m);$|!", "(?m)a*b"].compactMap { try? RegularExpression($0) }
        return [.lines, .octets]
            + patterns.enumerated().map { index, pattern in
                index == 1 ? .endsWith(pattern, isOmitted: true) : .startsWith(pattern, isOmitted: index == 2)
            }
    }()

    /// Cuts a stream that arrives in pieces of `piece` bytes into logs.
    package static func logs(of stream: [UInt8], rule: UInt8, piece: Int) throws -> [[UInt8]] {
        let names = ["utf-8", "utf-16le", "latin1", "utf8-raw"]
        guard let encoding = LogEncoding(names[Int(rule >> 4) % names.count]) else { return [] }
        let splitter = LogSplitter(
            rule: rules[Int(rule & 15) % rules.count], encoding: encoding, trimsLeading: true, trimsTrailing: true,
            maximumBytes: 1 << 20)
        var found: [[UInt8]] = []
        var buffer: [UInt8] = []
        var offset = 0
        while true {
            let end = piece < stream.count - offset ? offset + piece : stream.count
            buffer += stream[offset..<end]
            offset = end
            let isLast = offset == stream.count
            let used = try buffer.withUnsafeBytes { bytes in
                var position = 0
                while let token = splitter.next(in: bytes, from: position, isLast: isLast) {
                    guard token.next > position, token.next <= bytes.count, token.content.lowerBound >= position,
                        token.content.upperBound <= token.next
                    else { throw StanzaError("log \(token) at byte \(position) of \(bytes.count) is out of place") }
                    found.append(splitter.text(of: UnsafeRawBufferPointer(rebasing: bytes[token.content])))
                    position = token.next
                }
                return position
            }
            buffer.removeFirst(used)
            if isLast { return found }
        }
    }

    /// Reads what a receiver of files remembers; the number of files.
    package static func remembered(_ bytes: [UInt8]) throws -> Int {
        let files = try FileLogState.parse(bytes)
        guard try FileLogState.parse(FileLogState.text(files)) == files else {
            throw StanzaError("what was read is written otherwise")
        }
        return files.count
    }
}
