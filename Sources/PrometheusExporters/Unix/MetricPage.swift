import Essentials
import SelfMetrics

/// The value of a label, written without making a `String` first.
protocol LabelText {
    func append(to output: inout [UInt8])
}

/// The exposition of one scrape, built family by family in buffers that are kept from scrape to scrape.
///
/// Format: Prometheus text 0.0.4. Families appear sorted by name; a name seen twice keeps its first help and type.
final class MetricPage {
    /// A family of this page, good for the current scrape.
    struct Family { fileprivate let index: Int }

    private struct Section {
        var name: [UInt8]
        var header: [UInt8]
        var samples: [UInt8] = []
    }

    /// Names of families come from files too: past this the page forgets what it has not used.
    private static let maximumSections = 4096

    private var sections: [Section] = []
    private var indices: [String: Int] = [:]
    /// Sections by name, complete when it is as long as `sections`.
    private var order: [Int] = []

    /// Forgets the samples of the scrape before.
    func begin() {
        if sections.count > Self.maximumSections {
            sections = []
            indices = [:]
            order = []
        }
        for index in sections.indices { sections[index].samples.removeAll(keepingCapacity: true) }
    }

    func family(_ name: String, _ help: @autoclosure () -> String, _ kind: MetricKind) -> Family {
        if let index = indices[name] { return Family(index: index) }
        var header = Array("# HELP \(name) ".utf8)
        Self.appendHelp(help(), to: &header)
        header += "\n# TYPE \(name) \(kind.rawValue)\n".utf8
        indices[name] = sections.count
        sections.append(Section(name: Array(name.utf8), header: header))
        return Family(index: sections.count - 1)
    }

    func gauge(_ name: String, _ help: @autoclosure () -> String) -> Family { family(name, help(), .gauge) }
    func counter(_ name: String, _ help: @autoclosure () -> String) -> Family { family(name, help(), .counter) }

    // MARK: Samples

    func add(_ family: Family, _ value: Double) {
        Self.appendSample(&sections[family.index], value) { _ in }
    }

    func add(_ family: Family, _ name: StaticString, _ label: some LabelText, _ value: Double) {
        Self.appendSample(&sections[family.index], value) { output in
            Self.appendLabel(name, label, first: true, to: &output)
            output.append(UInt8(ascii: "}"))
        }
    }

    /// The names must be in alphabetical order.
    func add(
        _ family: Family, _ name: StaticString, _ label: some LabelText, _ name2: StaticString,
        _ label2: some LabelText, _ value: Double
    ) {
        Self.appendSample(&sections[family.index], value) { output in
            Self.appendLabel(name, label, first: true, to: &output)
            Self.appendLabel(name2, label2, first: false, to: &output)
            output.append(UInt8(ascii: "}"))
        }
    }

    func add(_ family: Family, labels: [(String, String)], _ value: Double) {
        Self.appendSample(&sections[family.index], value) { output in
            var separator = UInt8(ascii: "{")
            for (name, text) in labels.sorted(by: { $0.0 < $1.0 }) {
                output.append(separator)
                separator = UInt8(ascii: ",")
                output += name.utf8
                output += "=\"".utf8
                text.append(to: &output)
                output.append(UInt8(ascii: "\""))
            }
            if !labels.isEmpty { output.append(UInt8(ascii: "}")) }
        }
    }

    /// A sample whose first labels are written already: `a="b",c="d"`, without braces and not empty.
    func add(_ family: Family, base: [UInt8], _ value: Double) {
        Self.appendSample(&sections[family.index], value) { output in
            output.append(UInt8(ascii: "{"))
            output += base
            output.append(UInt8(ascii: "}"))
        }
    }

    func add(_ family: Family, base: [UInt8], _ name: StaticString, _ label: some LabelText, _ value: Double) {
        Self.appendSample(&sections[family.index], value) { output in
            output.append(UInt8(ascii: "{"))
            output += base
            Self.appendLabel(name, label, first: false, to: &output)
            output.append(UInt8(ascii: "}"))
        }
    }

    func add(
        _ family: Family, base: [UInt8], _ name: StaticString, _ label: some LabelText, _ name2: StaticString,
        _ label2: some LabelText, _ value: Double
    ) {
        Self.appendSample(&sections[family.index], value) { output in
            output.append(UInt8(ascii: "{"))
            output += base
            Self.appendLabel(name, label, first: false, to: &output)
            Self.appendLabel(name2, label2, first: false, to: &output)
            output.append(UInt8(ascii: "}"))
        }
    }

    /// A sample line as a file has it: what follows the family's name, already checked, without a line end.
    func add(_ family: Family, verbatim rest: Bytes) {
        let index = family.index
        let name = sections[index].name
        sections[index].samples += name
        sections[index].samples += rest
        sections[index].samples.append(UInt8(ascii: "\n"))
    }

    /// The whole page.
    func render() -> [UInt8] {
        if order.count != sections.count {
            order = sections.indices.sorted { sections[$0].name.lexicographicallyPrecedes(sections[$1].name) }
        }
        var output: [UInt8] = []
        output.reserveCapacity(
            sections.reduce(0) { $0 + ($1.samples.isEmpty ? 0 : $1.header.count + $1.samples.count) })
        for index in order where !sections[index].samples.isEmpty {
            output += sections[index].header
            output += sections[index].samples
        }
        return output
    }

    // MARK: Writing

    private static func appendSample(_ section: inout Section, _ value: Double, _ labels: (inout [UInt8]) -> Void) {
        section.samples += section.name
        labels(&section.samples)
        section.samples.append(UInt8(ascii: " "))
        appendNumber(value, to: &section.samples)
        section.samples.append(UInt8(ascii: "\n"))
    }

    private static func appendLabel(
        _ name: StaticString, _ label: some LabelText, first: Bool, to output: inout [UInt8]
    ) {
        output.append(first ? UInt8(ascii: "{") : UInt8(ascii: ","))
        output.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        output.append(UInt8(ascii: "="))
        output.append(UInt8(ascii: "\""))
        label.append(to: &output)
        output.append(UInt8(ascii: "\""))
    }

    private static func appendNumber(_ value: Double, to output: inout [UInt8]) {
        guard value >= 0, value < 1e15, value.rounded(.towardZero) == value else {
            output += Exposition.number(value).utf8
            return
        }
        appendDigits(UInt64(value), to: &output)
    }

    static func appendDigits(_ value: UInt64, to output: inout [UInt8]) {
        let start = output.count
        var rest = value
        repeat {
            output.append(UInt8(48 + rest % 10))
            rest /= 10
        } while rest > 0
        output[start...].reverse()
    }

    private static func appendHelp(_ text: String, to output: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): output += "\\\\".utf8
            case UInt8(ascii: "\n"): output += "\\n".utf8
            default: output.append(byte)
            }
        }
    }

    static func appendEscaped(_ bytes: some Sequence<UInt8>, to output: inout [UInt8]) {
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"): output += "\\\\".utf8
            case UInt8(ascii: "\n"): output += "\\n".utf8
            case UInt8(ascii: "\""): output += "\\\"".utf8
            default: output.append(byte)
            }
        }
    }
}

extension String: LabelText {
    func append(to output: inout [UInt8]) { MetricPage.appendEscaped(utf8, to: &output) }
}

extension UnsafeRawBufferPointer: LabelText {
    func append(to output: inout [UInt8]) {
        if allSatisfy({ $0 < 0x80 }) {
            MetricPage.appendEscaped(self, to: &output)
        } else {
            string.append(to: &output)
        }
    }
}

extension Int: LabelText {
    func append(to output: inout [UInt8]) {
        if self >= 0 { MetricPage.appendDigits(UInt64(self), to: &output) } else { output += String(self).utf8 }
    }
}
