import Glibc
import TextFormats

/// What a container says about metrics of its own: a file in it that a label `io.cadvisor.metric.NAME` names.
///
/// Source of the format: google/cadvisor `docs/application_metrics.md` and `collector`.
struct ApplicationConfig: Sendable {
    /// A metric that an expression finds in a page.
    struct Pattern: Sendable {
        var name: String
        var expression: RegularExpression
    }

    /// What a page holds.
    enum Content: Sendable {
        case patterns([Pattern])
        /// Prometheus text; nil takes every metric.
        case exposition(Set<String>?)
    }

    /// Metrics of one container.
    static let maximumMetrics = 100
    static let labelPrefix = "io.cadvisor.metric."

    var url: String
    var interval: Duration
    var content: Content

    /// `name` is what follows the label's prefix; `address` is the container's, empty when it has none. Throws why the
    /// text is none.
    init(_ text: [UInt8], name: String, address: String) throws(ApplicationError) {
        guard let value = try? JSONValue(parsing: text), value.objectValue != nil else {
            throw ApplicationError("the file is no JSON object")
        }
        if let text = value["endpoint"]?.stringValue, !text.isEmpty {
            url = text
        } else {
            let endpoint = value["endpoint"]
            let port = endpoint?["port"].flatMap { $0.stringValue ?? $0.intValue.map(String.init) } ?? "8000"
            let scheme = endpoint?["protocol"]?.stringValue ?? "http"
            if address.isEmpty { throw ApplicationError("the container has no address, and the endpoint none either") }
            url = "\(scheme)://\(address):\(port)\(endpoint?["path"]?.stringValue ?? "")"
        }
        let entries = value["metrics_config"]?.arrayValue ?? []
        if entries.count > Self.maximumMetrics { throw ApplicationError("more than \(Self.maximumMetrics) metrics") }
        var interval = value["polling_frequency"]?.intValue ?? 0
        if name.hasPrefix("prometheus") || name.hasPrefix("Prometheus") {
            let names = entries.compactMap(\.stringValue)
            content = .exposition(names.isEmpty ? nil : Set(names))
        } else {
            if entries.isEmpty { throw ApplicationError("no metrics provided in config") }
            var patterns: [Pattern] = []
            for entry in entries {
                let frequency = entry["polling_frequency"]?.intValue ?? 0
                if frequency > 0 { interval = interval == 0 ? frequency : min(interval, frequency) }
                guard let name = entry["name"]?.stringValue, let text = entry["regex"]?.stringValue,
                    let expression = try? RegularExpression(text), expression.groupCount > 0
                else { throw ApplicationError("a metric without a name, or without an expression with a group") }
                patterns.append(Pattern(name: name, expression: expression))
            }
            content = .patterns(patterns)
        }
        // Given in nanoseconds; no page is asked for more often than once a second.
        self.interval = .nanoseconds(max(1_000_000_000, interval))
    }

    /// Reads a file in the tree of a process, `/proc/PID/root`. Links are not followed: theirs would lead out of the
    /// container into the machine.
    static func read(_ path: String, below root: String) -> [UInt8]? {
        var descriptor = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let parts = path.split(separator: "/").filter { $0 != "." }
        guard let last = parts.last, !parts.contains("..") else { return nil }
        for part in parts.dropLast() {
            let next = openat(descriptor, String(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard next >= 0 else { return nil }
            close(descriptor)
            descriptor = next
        }
        let file = openat(descriptor, String(last), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= 1 << 20 else {
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = Glibc.read(file, &bytes, bytes.count)
        return count >= 0 ? Array(bytes[..<count]) : nil
    }
}

/// Why metrics of an application cannot be had.
struct ApplicationError: Error, CustomStringConvertible, Equatable {
    var description: String

    init(_ description: String) { self.description = description }
}

/// A value of an application, with labels as they are written: `app_code="200"`.
struct ApplicationSample: Sendable, Equatable {
    var name: String
    var labels: [UInt8] = []
    var value: Double

    /// Names of an exporter's own metrics are not for containers to use.
    static func isUsable(_ name: some Collection<UInt8>) -> Bool {
        guard let first = name.first, !(first >= 48 && first <= 57) else { return false }
        if ["container_", "machine_", "cadvisor_"].contains(where: { name.starts(with: $0.utf8) }) { return false }
        return name.allSatisfy { $0 == 95 || $0 == 58 || ($0 | 32 >= 97 && $0 | 32 <= 122) || ($0 >= 48 && $0 <= 57) }
    }

    // MARK: Prometheus text

    /// The samples of a page in Prometheus text format that are among `names`.
    static func read(_ page: [UInt8], names: Set<String>?) throws(ApplicationError) -> [ApplicationSample] {
        var samples: [ApplicationSample] = []
        var found: Set<String> = []
        let isRead: Bool = page.withUnsafeBytes { bytes in
            for line in bytes.lines {
                let line = line.trimmed
                if line.isEmpty || line[0] == UInt8(ascii: "#") { continue }
                guard let sample = read(line) else { return false }
                if let names, !names.contains(sample.name) { continue }
                guard isUsable(sample.name.utf8) else { continue }
                found.insert(sample.name)
                if found.count > ApplicationConfig.maximumMetrics || samples.count >= 10_000 { return false }
                samples.append(sample)
            }
            return true
        }
        guard isRead else { throw ApplicationError("the page is no Prometheus text, or has too many metrics") }
        return samples
    }

    private static func read(_ line: Bytes) -> ApplicationSample? {
        guard let end = line.firstIndex(where: { $0 == UInt8(ascii: "{") || $0 <= 32 }) else { return nil }
        var labels: [UInt8] = []
        var position = end
        if line[end] == UInt8(ascii: "{") {
            guard let after = readLabels(line, from: end + 1, into: &labels) else { return nil }
            position = after
        }
        guard let value = line.part(position..<line.count).words(limit: 1).first else { return nil }
        let number = value.number ?? Double(value.string)
        return number.map { ApplicationSample(name: line.part(0..<end).string, labels: labels, value: $0) }
    }

    /// Copies labels with their names made the application's own; returns where they end.
    private static func readLabels(_ line: Bytes, from start: Int, into labels: inout [UInt8]) -> Int? {
        var index = start
        while index < line.count {
            if line[index] == UInt8(ascii: "}") { return index + 1 }
            if line[index] == UInt8(ascii: ",") || line[index] <= 32 {
                index += 1
                continue
            }
            guard let equals = line[index...].firstIndex(of: UInt8(ascii: "=")), equals + 1 < line.count,
                line[equals + 1] == UInt8(ascii: "\"")
            else { return nil }
            let name = line.part(index..<equals).trimmed
            guard !name.isEmpty,
                name.allSatisfy({ $0 == 95 || ($0 | 32 >= 97 && $0 | 32 <= 122) || ($0 >= 48 && $0 <= 57) })
            else { return nil }
            var close = equals + 2
            while close < line.count, line[close] != UInt8(ascii: "\"") {
                close += line[close] == UInt8(ascii: "\\") ? 2 : 1
            }
            guard close < line.count else { return nil }
            labels += ",app_".utf8
            labels += name
            labels += line[equals...close]
            index = close + 1
        }
        return nil
    }
}
