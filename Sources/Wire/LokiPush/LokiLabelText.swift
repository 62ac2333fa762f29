package import Telemetry

/// A stream's labels as text: `{app="shop", env="live"}`.
///
/// Written as Loki's own clients do (names sorted, values quoted as Go does). Read as Prometheus reads a metric in
/// text form (`promql/parser`, `ParseMetric`), which is what upstream's push endpoint does: names may be quoted, any
/// of the three kinds of quotes is taken, a trailing comma and a leading metric name are allowed.
package enum LokiLabelText {
    /// Appends the text of `labels`; names beginning with `__` are left out when `skippingInternal`.
    package static func append(_ labels: LabelSet, skippingInternal: Bool, to output: inout [UInt8]) {
        output.append(0x7B)
        var isFirst = true
        labels.forEach { name, value in
            if skippingInternal, isInternal(name) { return }
            if !isFirst {
                output.append(0x2C)
                output.append(0x20)
            }
            isFirst = false
            output.append(contentsOf: name)
            output.append(0x3D)
            GoQuoting.append(value, to: &output)
        }
        output.append(0x7D)
    }

    /// The text of `labels`, all of them.
    package static func text(_ labels: LabelSet) -> String {
        var bytes: [UInt8] = []
        append(labels, skippingInternal: false, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// True for names that never leave the process: those beginning with `__`.
    @inline(__always)
    package static func isInternal(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count >= 2 && name[0] == 0x5F && name[1] == 0x5F
    }

    /// Sets the labels of `text` in `builder`, later ones over earlier ones of the same name.
    package static func parse(
        _ text: UnsafeRawBufferPointer, into builder: inout LabelSetBuilder, maximumLabels: Int = 1024
    ) throws(LokiPushError) {
        var parser = LabelTextParser(text, maximumLabels: maximumLabels)
        try parser.parse(into: &builder)
    }

    /// The label set that `text` stands for.
    package static func parse(_ text: String) throws(LokiPushError) -> LabelSet {
        let bytes = Array(text.utf8)
        var builder = LabelSetBuilder()
        var failure: LokiPushError?
        bytes.withUnsafeBytes { bytes in
            do throws(LokiPushError) { try parse(bytes, into: &builder) } catch { failure = error }
        }
        if let failure { throw failure }
        return builder.finish()
    }
}

private struct LabelTextParser {
    private let text: UnsafeRawBufferPointer
    private let maximumLabels: Int
    private var index = 0
    private var count = 0
    private var name: [UInt8] = []
    private var value: [UInt8] = []

    init(_ text: UnsafeRawBufferPointer, maximumLabels: Int) {
        self.text = text
        self.maximumLabels = maximumLabels
    }

    mutating func parse(into builder: inout LabelSetBuilder) throws(LokiPushError) {
        skipSpace()
        if let byte = peek, Self.isNameStart(byte) || byte == 0x3A {
            let start = index
            while let byte = peek, Self.isNamePart(byte) || byte == 0x3A { index += 1 }
            value.removeAll(keepingCapacity: true)
            value.append(contentsOf: text[start..<index])
            setMetricName(in: &builder)
            skipSpace()
            if index == text.count { return }
        }
        guard peek == 0x7B else { throw failure("expected `{`") }
        index += 1
        skipSpace()
        while peek != 0x7D {
            try parsePair(into: &builder)
            skipSpace()
            if peek == 0x2C {
                index += 1
                skipSpace()
            } else if peek != 0x7D {
                throw failure("expected `,` or `}`")
            }
        }
        index += 1
        skipSpace()
        guard index == text.count else { throw failure("unexpected text after `}`") }
    }

    private mutating func parsePair(into builder: inout LabelSetBuilder) throws(LokiPushError) {
        count += 1
        guard count <= maximumLabels else { throw .tooLarge("more than \(maximumLabels) labels in a stream") }
        guard let byte = peek else { throw failure("expected a label name or `}`") }
        var isQuoted = false
        name.removeAll(keepingCapacity: true)
        if Self.isNameStart(byte) {
            let start = index
            while let byte = peek, Self.isNamePart(byte) { index += 1 }
            name.append(contentsOf: text[start..<index])
        } else if Self.isQuote(byte) {
            isQuoted = true
            try parseString()
            swap(&name, &value)
            guard !name.isEmpty else { throw failure("empty label name") }
        } else {
            throw failure("expected a label name or `}`")
        }
        skipSpace()
        guard peek == 0x3D else {
            guard isQuoted, peek == 0x2C || peek == 0x7D else { throw failure("expected `=`") }
            swap(&name, &value)
            setMetricName(in: &builder)
            return
        }
        index += 1
        skipSpace()
        guard let quote = peek, Self.isQuote(quote) else { throw failure("expected a quoted label value") }
        try parseString()
        name.withUnsafeBytes { name in value.withUnsafeBytes { builder.set(name, to: $0) } }
    }

    private func setMetricName(in builder: inout LabelSetBuilder) {
        let label: StaticString = "__name__"
        let name = UnsafeRawBufferPointer(start: label.utf8Start, count: label.utf8CodeUnitCount)
        value.withUnsafeBytes { builder.set(name, to: $0) }
    }

    /// Reads a quoted string into `value`.
    private mutating func parseString() throws(LokiPushError) {
        let start = index
        value.removeAll(keepingCapacity: true)
        do throws(QuotedTextError) {
            index = try QuotedText.unquote(text, at: start, into: &value)
        } catch {
            index = error.offset
            throw failure(error.message + (start == error.offset ? "" : " in the string at byte \(start)"))
        }
    }

    private mutating func skipSpace() {
        while let byte = peek {
            if byte == 0x23 {
                while let byte = peek, byte != 0x0A { index += 1 }
            } else if byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D {
                index += 1
            } else {
                return
            }
        }
    }

    @inline(__always)
    private var peek: UInt8? { index < text.count ? text[index] : nil }

    private func failure(_ message: String) -> LokiPushError {
        .malformed("labels at byte \(index): \(message)")
    }

    @inline(__always)
    private static func isQuote(_ byte: UInt8) -> Bool { byte == 0x22 || byte == 0x27 || byte == 0x60 }

    @inline(__always)
    private static func isNameStart(_ byte: UInt8) -> Bool {
        (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A || byte == 0x5F
    }

    @inline(__always)
    private static func isNamePart(_ byte: UInt8) -> Bool {
        isNameStart(byte) || byte >= 0x30 && byte <= 0x39
    }
}
