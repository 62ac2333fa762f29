import TextFormats

/// What tells a file from others when its name does not: kept beside the position, so that a file that was renamed
/// while nobody looked is found again.
package struct FileFingerprint: Sendable, Hashable {
    package var device: UInt64
    package var inode: UInt64
    /// Bytes from the beginning that ``headHash`` covers; at most as many as were read.
    package var headBytes: Int
    /// FNV-1a of those bytes.
    package var headHash: UInt64
    /// The position of this very file.
    package var position: Int64

    package init(device: UInt64, inode: UInt64, headBytes: Int, headHash: UInt64, position: Int64) {
        self.device = device
        self.inode = inode
        self.headBytes = headBytes
        self.headHash = headHash
        self.position = position
    }

    /// The hash of a file's first bytes.
    package static func hash(_ head: [UInt8]) -> UInt64 { head.withUnsafeBytes { FNV1a.hash64($0) } }
}

/// The file that holds fingerprints: JSON beside the positions file, whose own form is Alloy's and has no room for them.
enum FingerprintText {
    static func text(_ fingerprints: [PositionKey: FileFingerprint]) -> [UInt8] {
        let sorted = fingerprints.sorted { ($0.key.path, $0.key.labels) < ($1.key.path, $1.key.labels) }
        let files = sorted.map { key, fingerprint -> JSONValue in
            .object([
                "path": .string(key.path), "labels": .string(key.labels),
                "device": .number(JSONNumber(fingerprint.device)), "inode": .number(JSONNumber(fingerprint.inode)),
                "head_bytes": .int(fingerprint.headBytes), "head_hash": .number(JSONNumber(fingerprint.headHash)),
                "position": .number(JSONNumber(fingerprint.position)),
            ])
        }
        var output: [UInt8] = []
        JSONWriter(escapesHTML: false).append(.object(["version": .int(1), "files": .array(files)]), to: &output)
        output.append(0x0A)
        return output
    }

    /// Reads what ``text(_:)`` wrote; entries that make no sense are left out. Throws when it is no JSON.
    static func parse(_ bytes: [UInt8]) throws -> [PositionKey: FileFingerprint] {
        let value = try JSONValue(parsing: bytes)
        var found: [PositionKey: FileFingerprint] = [:]
        for entry in value["files"]?.arrayValue ?? [] {
            guard let path = entry["path"]?.stringValue, let labels = entry["labels"]?.stringValue,
                let device = unsigned(entry["device"]), let inode = unsigned(entry["inode"]),
                let headBytes = entry["head_bytes"]?.intValue, (1...65_536).contains(headBytes),
                let headHash = unsigned(entry["head_hash"]), let position = entry["position"]?.intValue,
                position >= headBytes
            else { continue }
            found[PositionKey(path: path, labels: labels)] = FileFingerprint(
                device: device, inode: inode, headBytes: Int(headBytes), headHash: headHash, position: position)
        }
        return found
    }

    private static func unsigned(_ value: JSONValue?) -> UInt64? {
        guard case .number(let number) = value else { return nil }
        return number.uintValue
    }
}
