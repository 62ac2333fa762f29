import Essentials
import Glibc
import SelfMetrics
import TextFormats

/// `textfile`: metrics that others wrote into `*.prom` files.
///
/// Format: Prometheus text 0.0.4. A file with an error or a timestamp is left out whole.
final class TextFileCollector: NodeCollector {
    private let directory: String

    init(_ settings: UnixSettings) { directory = settings.textfileDirectory }

    func collect(_ scrape: NodeScrape) throws {
        var failed = false
        let page = scrape.page
        var times: [(path: String, seconds: Double)] = []
        for path in directories() {
            let names: [String]
            do {
                names = try Files.list(path)
            } catch {
                failed = true
                scrape.log.error("Failed to read textfile collector directory", error, ["path": path])
                continue
            }
            for name in names where name.hasSuffix(".prom") {
                let file = path + "/" + name
                do {
                    times.append((file, try add(file, scrape)))
                } catch {
                    failed = true
                    scrape.log.error("Failed to collect textfile data", error, ["file": file])
                }
            }
        }
        if !times.isEmpty {
            let family = page.gauge(
                "node_textfile_mtime_seconds", "Unixtime mtime of textfiles successfully read.")
            for time in times.sorted(by: { $0.path < $1.path }) { page.add(family, "file", time.path, time.seconds) }
        }
        page.add(
            page.gauge(
                "node_textfile_scrape_error", "1 if there was an error opening or reading a file, 0 otherwise"),
            failed ? 1 : 0)
    }

    private func directories() -> [String] {
        if directory.isEmpty { return [] }
        guard let glob = try? Glob(directory, .plain), glob.hasWildcards else { return [directory] }
        let paths = glob.expand().paths
        return paths.isEmpty ? [directory] : paths
    }

    /// Adds a file's samples and returns when it was last changed.
    private func add(_ path: String, _ scrape: NodeScrape) throws -> Double {
        try scrape.files.withFile(path) { bytes in
            let families = try TextFile.parse(bytes, path)
            for family in families {
                let section = scrape.page.family(
                    family.name, family.help ?? "Metric read from \(path)", family.kind)
                for sample in family.samples { scrape.page.add(section, verbatim: sample) }
            }
            var status = stat()
            guard stat(path, &status) == 0 else { throw SystemError("stat", path) }
            return Double(status.st_mtim.tv_sec)
        }
    }
}

/// The content of one `*.prom` file.
enum TextFile {
    struct Family {
        var name: String
        var help: String?
        var kind = MetricKind.unknown
        /// What follows the family's name in each sample's line.
        var samples: [Bytes] = []
    }

    /// Reads families in order; the samples are parts of `bytes`.
    static func parse(_ bytes: Bytes, _ path: String) throws -> [Family] {
        var families: [Family] = []
        var indices: [String: Int] = [:]
        func index(_ name: String) -> Int {
            if let index = indices[name] { return index }
            indices[name] = families.count
            families.append(Family(name: name))
            return families.count - 1
        }
        for (number, line) in bytes.lines.enumerated() {
            let line = line.trimmed
            func fail(_ reason: String) -> MalformedFile {
                MalformedFile(path: path, reason: "line \(number + 1): \(reason)")
            }
            if line.isEmpty { continue }
            if line.first == UInt8(ascii: "#") {
                let words = line.words(limit: 4)
                guard words.count >= 3, words[0].count == 1 else { continue }
                guard words[1].equals("HELP") || words[1].equals("TYPE") else { continue }
                guard isName(words[2]) else { throw fail("invalid metric name") }
                let family = index(words[2].string)
                if words[1].equals("TYPE") {
                    guard words.count == 4, let kind = MetricKind(rawValue: words[3].string) else {
                        throw fail("unknown metric type")
                    }
                    if !families[family].samples.isEmpty { throw fail("TYPE after the samples of its metric") }
                    families[family].kind = kind
                } else {
                    families[family].help = helpText(line, after: words[2])
                }
                continue
            }
            let (name, rest) = try sample(line, fail)
            let family = owner(of: name, families, indices).map(\.index) ?? index(name.string)
            // Suffixes such as `_bucket` stay with the sample.
            let length = families[family].name.utf8.count
            families[family].samples.append(Bytes(rebasing: line[length..<rest]))
        }
        return families.filter { !$0.samples.isEmpty }
    }

    private static func owner(
        of name: Bytes, _ families: [Family], _ indices: [String: Int]
    ) -> (index: Int, Void)? {
        let text = name.string
        for suffix in ["_bucket", "_sum", "_count"] where text.hasSuffix(suffix) {
            guard let index = indices[String(text.dropLast(suffix.count))] else { continue }
            switch families[index].kind {
            case .histogram: return (index, ())
            case .summary where suffix != "_bucket": return (index, ())
            default: continue
            }
        }
        return nil
    }

    /// The name and where the value ends.
    private static func sample(
        _ line: Bytes, _ fail: (String) -> MalformedFile
    ) throws -> (name: Bytes, end: Int) {
        var index = 0
        while index < line.count, isNameByte(line[index]) { index += 1 }
        let name = line.part(0..<index)
        guard isName(name) else { throw fail("invalid metric name") }
        var position = skipSpaces(line, index)
        if position < line.count, line[position] == UInt8(ascii: "{") {
            guard position == index else { throw fail("space before labels") }
            position = try labels(line, position + 1, fail)
        }
        let words = line.part(position..<line.count).words(limit: 3)
        guard let value = words.first, isValue(value) else { throw fail("expected a number as value") }
        if words.count > 1 { throw fail("contains unsupported client-side timestamps") }
        return (name, line.count)
    }

    /// Reads labels from behind `{`; returns the position behind `}`.
    private static func labels(_ line: Bytes, _ start: Int, _ fail: (String) -> MalformedFile) throws -> Int {
        var index = skipSpaces(line, start)
        while index < line.count, line[index] != UInt8(ascii: "}") {
            let begin = index
            while index < line.count, isNameByte(line[index]), line[index] != UInt8(ascii: ":") { index += 1 }
            guard index > begin, !(line[begin] >= 48 && line[begin] <= 57) else { throw fail("invalid label name") }
            index = skipSpaces(line, index)
            guard index < line.count, line[index] == UInt8(ascii: "=") else {
                throw fail("expected '=' after label name")
            }
            index = skipSpaces(line, index + 1)
            guard index < line.count, line[index] == UInt8(ascii: "\"") else {
                throw fail("expected '\"' before label value")
            }
            index += 1
            while index < line.count, line[index] != UInt8(ascii: "\"") {
                if line[index] == UInt8(ascii: "\\") {
                    index += 1
                    guard index < line.count,
                        [UInt8(ascii: "\\"), UInt8(ascii: "n"), UInt8(ascii: "\"")].contains(line[index])
                    else { throw fail("invalid escape in label value") }
                }
                index += 1
            }
            guard index < line.count else { throw fail("unterminated label value") }
            index = skipSpaces(line, index + 1)
            if index < line.count, line[index] == UInt8(ascii: ",") {
                index = skipSpaces(line, index + 1)
            } else if index >= line.count || line[index] != UInt8(ascii: "}") {
                throw fail("unexpected end of labels")
            }
        }
        guard index < line.count else { throw fail("unterminated labels") }
        return index + 1
    }

    private static func skipSpaces(_ line: Bytes, _ start: Int) -> Int {
        var index = start
        while index < line.count, line[index] == 32 || line[index] == 9 { index += 1 }
        return index
    }

    private static func isValue(_ word: Bytes) -> Bool {
        if word.number != nil { return true }
        return ["nan", "+inf", "-inf", "inf", "+infinity", "-infinity", "infinity"].contains(word.string.lowercased())
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (byte >= 48 && byte <= 58) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || byte == 95
    }

    private static func isName(_ name: Bytes) -> Bool {
        guard let first = name.first, !(first >= 48 && first <= 57) else { return false }
        return name.allSatisfy(isNameByte)
    }

    private static func helpText(_ line: Bytes, after name: Bytes) -> String? {
        guard let base = line.baseAddress, let end = name.baseAddress else { return nil }
        let offset = UnsafeRawPointer(end) - base + name.count
        let text = line.part(offset..<line.count).trimmed.string
        return text.replacing("\\n", with: "\n").replacing("\\\\", with: "\\")
    }
}
