package import AlloySyntax
package import Essentials
import Glibc
import TextFormats

/// The text of one configuration: a file, or every `*.alloy` file of a directory read as one.
package struct ConfigurationSource: Sendable {
    /// The files, sorted by name.
    package let files: [SourceFile]

    /// The directory expressions see as `module_path`.
    package let modulePath: String

    /// Configurations larger than this, all files together, are refused.
    package static let sizeLimit = ByteCount.mebibytes(64)

    /// Makes a source from texts that stand in no file.
    package init(files: [SourceFile], modulePath: String = "") {
        self.files = files.sorted { $0.name < $1.name }
        self.modulePath = modulePath
    }

    /// Makes a source from one text.
    package init(_ text: String, name: String = "config.alloy", modulePath: String = "") {
        self.init(files: [SourceFile(name: name, text: text)], modulePath: modulePath)
    }

    /// Reads a file, or the `*.alloy` files of a directory without those of the directories inside. Blocks.
    ///
    /// Throws ``SystemError`` and ``FileTooLarge``, which name the path, and ``UnreadableText``.
    package static func read(_ path: String, limit: ByteCount = sizeLimit) throws -> ConfigurationSource {
        var status = stat()
        guard stat(path, &status) == 0 else { throw SystemError("stat", path) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            let bytes = try decode(Files.read(path, limit: limit), path: path)
            return ConfigurationSource(
                files: [SourceFile(name: path, bytes: bytes)], modulePath: directory(of: path))
        }
        var files: [SourceFile] = []
        var left = limit.bytes
        for name in try Files.list(path) where name.hasSuffix(".alloy") {
            let file = path.hasSuffix("/") ? path + name : path + "/" + name
            var entry = stat()
            guard stat(file, &entry) == 0 else { throw SystemError("stat", file) }
            if entry.st_mode & S_IFMT == S_IFDIR { continue }
            let content = try Files.read(file, limit: ByteCount(bytes: left))
            left -= content.count
            files.append(SourceFile(name: file, bytes: try decode(content, path: file)))
        }
        return ConfigurationSource(files: files, modulePath: path)
    }

    /// SHA-256 of the files' bytes one after another, in hexadecimal; all zeros without files.
    package var digest: String {
        guard !files.isEmpty else { return String(repeating: "0", count: 64) }
        var hash = SHA256()
        for file in files { hash.update(file.bytes) }
        return hash.hexDigest()
    }

    /// The directory a path lies in: `.` for a bare name.
    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The text as UTF-8: a byte order mark goes, UTF-16 with one is converted.
    private static func decode(_ bytes: [UInt8], path: String) throws -> [UInt8] {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return try validated(Array(bytes.dropFirst(3)), path: path) }
        let isLittle = bytes.starts(with: [0xFF, 0xFE])
        guard isLittle || bytes.starts(with: [0xFE, 0xFF]) else { return try validated(bytes, path: path) }
        guard bytes.count % 2 == 0 else { throw UnreadableText(path: path, encoding: "UTF-16") }
        var units: [UInt16] = []
        units.reserveCapacity(bytes.count / 2)
        for index in stride(from: 2, to: bytes.count, by: 2) {
            let (first, second) = (UInt16(bytes[index]), UInt16(bytes[index + 1]))
            units.append(isLittle ? second << 8 | first : first << 8 | second)
        }
        guard let text = String(validating: units, as: UTF16.self) else {
            throw UnreadableText(path: path, encoding: "UTF-16")
        }
        return Array(text.utf8)
    }

    private static func validated(_ bytes: [UInt8], path: String) throws -> [UInt8] {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw UnreadableText(path: path, encoding: "UTF-8")
        }
        return bytes
    }
}

/// A configuration file whose bytes are not the text they claim to be.
package struct UnreadableText: Error, Sendable, CustomStringConvertible {
    package let path: String
    package let encoding: String
    package var description: String { "read \(path): not valid \(encoding)" }
}
