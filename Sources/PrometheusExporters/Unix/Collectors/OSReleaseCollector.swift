import Essentials
import Glibc
import SelfMetrics
import TextFormats

/// `os`: what `/etc/os-release` says (os-release(5)).
final class OSReleaseCollector: NodeCollector {
    private static let labels: [(label: String, key: String)] = [
        ("build_id", "BUILD_ID"), ("id", "ID"), ("id_like", "ID_LIKE"), ("image_id", "IMAGE_ID"),
        ("image_version", "IMAGE_VERSION"), ("name", "NAME"), ("pretty_name", "PRETTY_NAME"), ("variant", "VARIANT"),
        ("variant_id", "VARIANT_ID"), ("version", "VERSION"), ("version_codename", "VERSION_CODENAME"),
        ("version_id", "VERSION_ID"),
    ]

    func collect(_ scrape: NodeScrape) throws {
        let values = try read(scrape)
        let page = scrape.page
        let info = page.gauge(
            "node_os_info",
            "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, "
                + "name, pretty_name, variant, variant_id, version, version_codename, version_id.")
        page.add(info, labels: Self.labels.map { ($0.label, values[$0.key] ?? "") }, 1)
        if let version = Self.majorMinor(values["VERSION_ID"] ?? ""), version > 0 {
            page.add(
                page.gauge("node_os_version", "Metric containing the major.minor part of the OS version."),
                labels: [
                    ("id", values["ID"] ?? ""), ("id_like", values["ID_LIKE"] ?? ""), ("name", values["NAME"] ?? ""),
                ], version)
        }
        if let end = values["SUPPORT_END"], !end.isEmpty {
            guard let seconds = Self.seconds(ofDate: end) else {
                throw MalformedFile(path: "os-release", reason: "SUPPORT_END is no date: \(end)")
            }
            page.add(
                page.gauge(
                    "node_os_support_end_timestamp_seconds",
                    "Metric containing the end-of-life date timestamp of the OS."), Double(seconds))
        }
    }

    private func read(_ scrape: NodeScrape) throws -> [String: String] {
        let root = scrape.paths.rootfs == "/" ? "" : scrape.paths.rootfs
        do {
            return try scrape.files.withFile(root + "/etc/os-release") { Self.assignments($0) }
        } catch let error as SystemError where error.isNotFound {
            return try noDataIfMissing {
                try scrape.files.withFile(root + "/usr/lib/os-release") { Self.assignments($0) }
            }
        }
    }

    /// Lines `NAME=value`, the value bare or in single or double quotes with the escapes of a shell.
    static func assignments(_ bytes: Bytes) -> [String: String] {
        var values: [String: String] = [:]
        for line in bytes.lines {
            guard let (key, rest) = line.trimmed.cut(at: "="), key.first != UInt8(ascii: "#") else { continue }
            var value: [UInt8] = []
            var quote: UInt8?
            var escaped = false
            for byte in rest.trimmed {
                if escaped {
                    value.append(byte)
                    escaped = false
                } else if byte == UInt8(ascii: "\\"), quote != UInt8(ascii: "'") {
                    escaped = true
                } else if let open = quote {
                    if byte == open { quote = nil } else { value.append(byte) }
                } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                    quote = byte
                } else {
                    value.append(byte)
                }
            }
            values[key.trimmed.string] = String(decoding: value, as: UTF8.self)
        }
        return values
    }

    /// 12.5 of `12.5.1`.
    static func majorMinor(_ version: String) -> Double? {
        let major = version.prefix { $0.isASCII && $0.isNumber }
        if major.isEmpty { return nil }
        var text = String(major)
        let rest = version.dropFirst(major.count)
        if rest.hasPrefix(".") {
            let minor = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
            if !minor.isEmpty { text += "." + minor }
        }
        return DecimalParser.parse(text)
    }

    private static func seconds(ofDate text: String) -> Int? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int32($0) }
        guard parts.count == 3, let year = parts[0], let month = parts[1], let day = parts[2], year >= 1900,
            year < 10_000,
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        var date = tm()
        date.tm_year = year - 1900
        date.tm_mon = month - 1
        date.tm_mday = day
        return timegm(&date)
    }
}
