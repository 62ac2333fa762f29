import Essentials
import TextFormats

/// What is remembered of files over a restart, as JSON in the directory an `otelcol.storage` component gives.
enum FileLogState {
    struct File: Sendable, Equatable {
        var path: String
        var fingerprint: [UInt8]
        var tail: [UInt8]
        var device: UInt64
        var inode: UInt64
        var position: Int64
        var record: Int64
    }

    static func text(_ files: [File]) -> [UInt8] {
        let values = files.map { file -> JSONValue in
            .object([
                "path": .string(file.path), "fingerprint": .string(base64(file.fingerprint)),
                "tail": .string(base64(file.tail)), "device": .number(JSONNumber(file.device)),
                "inode": .number(JSONNumber(file.inode)), "position": .number(JSONNumber(file.position)),
                "record": .number(JSONNumber(file.record)),
            ])
        }
        var output: [UInt8] = []
        JSONWriter(escapesHTML: false).append(.object(["version": .int(1), "files": .array(values)]), to: &output)
        output.append(0x0A)
        return output
    }

    private static func base64(_ bytes: [UInt8]) -> String { Base64.encode(bytes) }

    /// Reads what ``text(_:)`` wrote; entries that make no sense are left out. Throws when it is no JSON.
    static func parse(_ bytes: [UInt8]) throws(TextFormatError) -> [File] {
        let value = try JSONValue(parsing: bytes, maximumDepth: 10)
        return (value["files"]?.arrayValue ?? []).compactMap { entry in
            guard let path = entry["path"]?.stringValue, let fingerprint = decoded(entry["fingerprint"]),
                let tail = decoded(entry["tail"]), let device = unsigned(entry["device"]),
                let inode = unsigned(entry["inode"]), let position = entry["position"]?.intValue, position >= 0,
                let record = entry["record"]?.intValue, record >= 0, !fingerprint.isEmpty,
                Int64(tail.count) <= position
            else { return nil }
            return File(
                path: path, fingerprint: fingerprint, tail: tail, device: device, inode: inode, position: position,
                record: record)
        }
    }

    private static func decoded(_ value: JSONValue?) -> [UInt8]? {
        guard let text = value?.stringValue else { return nil }
        return Base64.decode(text.utf8)
    }

    private static func unsigned(_ value: JSONValue?) -> UInt64? {
        guard case .number(let number) = value else { return nil }
        return number.uintValue
    }
}
