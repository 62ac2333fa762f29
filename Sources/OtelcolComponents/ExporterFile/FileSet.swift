import Compression
import Glibc
import Telemetry
import TextFormats
import Wire

/// Why telemetry could not be written.
enum FileSetError: Error, CustomStringConvertible {
    case failed(String, path: String, errno: CInt)
    /// A resource whose attribute cannot name a file.
    case unnamed(String)

    var description: String {
        switch self {
        case .failed(let what, let path, let code): "cannot \(what) \(path): \(String(cString: strerror(code)))"
        case .unnamed(let value): "\"\(value)\" cannot be part of a path"
        }
    }
}

/// The files an exporter writes: one, or one for each value of a resource's attribute. Blocks; not for several tasks at once.
struct FileSet: ~Copyable {
    private let settings: FileSettings
    private let now: () -> Int64
    private var files: [String: OutputFile] = [:]
    /// Paths in the order they were last written.
    private var order: [String] = []

    init(_ settings: FileSettings, now: @escaping @Sendable () -> Int64) {
        self.settings = settings
        self.now = now
    }

    /// Opens the file, or the directory's first comes with its first batch.
    mutating func open() throws {
        if settings.group == nil { files[settings.path] = try OutputFile(settings.path, settings, now()) }
    }

    mutating func write(_ batch: OTLPBatch) throws {
        guard let group = settings.group else {
            return try write(batch, to: settings.path)
        }
        for (segment, part) in try Self.split(batch, by: OTLPKey(group.attribute)) {
            try write(part, to: try path(segment))
        }
    }

    private mutating func write(_ batch: OTLPBatch, to path: String) throws {
        if files[path] == nil {
            if files.count >= settings.group?.openFiles ?? 1, let oldest = order.first {
                order.removeFirst()
                try files.removeValue(forKey: oldest)?.close()
            }
            // A file that was written before by this process goes on where it stopped.
            files[path] = try OutputFile(path, settings, now())
        }
        order.removeAll { $0 == path }
        order.append(path)
        try files[path]?.write(Self.record(batch, settings.format), now())
    }

    private func path(_ segment: String) throws -> String {
        let parts = segment.split(separator: "/", omittingEmptySubsequences: false)
        guard !segment.isEmpty, !parts.contains(".."), !segment.utf8.contains(0) else {
            throw FileSetError.unnamed(segment)
        }
        return settings.path.replacing("*", with: segment, maxReplacements: 1)
    }

    /// The batch by the value of an attribute of its resources; resources without it are written under `MISSING`.
    private static func split(_ batch: OTLPBatch, by key: OTLPKey) throws -> [(String, OTLPBatch)] {
        let walker = OTLPWalker()
        var order: [String] = []
        var assemblers: [String: OTLPAssembler] = [:]
        var segment = ""
        try walker.walk(batch, to: .item) { level in
            if level == .resource { segment = walker.resource.attributes[key]?.string ?? "MISSING" }
            guard level == .item else { return .keep }
            if assemblers[segment] == nil {
                assemblers[segment] = OTLPAssembler(kind: batch.kind)
                order.append(segment)
            }
            assemblers[segment]?.append(walker)
            return .keep
        }
        return order.compactMap { name in
            assemblers[name].map { assembler in
                var assembler = assembler
                return (name, assembler.finish())
            }
        }
    }

    private static func record(_ batch: OTLPBatch, _ format: FileSettings.Format) -> [UInt8] {
        let bytes = batch.requestBytes
        switch format {
        case .json: return bytes.withRawBytes { OTLPJSON.encode($0, of: batch.kind) }
        case .proto: return bytes
        }
    }

    mutating func flush() throws { for path in files.keys { try files[path]?.flush() } }

    mutating func close() throws {
        var failure: (any Error)?
        for (_, file) in files { do { try file.close() } catch { failure = error } }
        files = [:]
        if let failure { throw failure }
    }
}

/// One file, written through a buffer and begun anew when it is large enough.
final class OutputFile {
    private static let bufferSize = 64 << 10

    private let path: String
    private let settings: FileSettings
    private var descriptor: CInt
    private var buffer: [UInt8] = []
    private var size: Int

    init(_ path: String, _ settings: FileSettings, _ now: Int64) throws {
        self.path = path
        self.settings = settings
        (descriptor, size) = try Self.open(
            path, keeps: settings.appends || settings.rotation != nil || settings.group != nil)
    }

    deinit { Glibc.close(descriptor) }

    private static func open(_ path: String, keeps: Bool) throws -> (CInt, Int) {
        let directory = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        var made = ""
        for part in directory {
            made += part + "/"
            if mkdir(made, 0o755) != 0, errno != EEXIST, errno != EISDIR { break }
        }
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (keeps ? O_APPEND : O_TRUNC), 0o600)
        guard descriptor >= 0 else { throw FileSetError.failed("open", path: path, errno: errno) }
        return (descriptor, Int(lseek(descriptor, 0, SEEK_END)))
    }

    /// Adds a record: a line of text, or four bytes of length and the message where it is binary or compressed.
    func write(_ record: [UInt8], _ now: Int64) throws {
        var content = record
        if let level = settings.compressionLevel {
            content = []
            try Zstandard(level: level).compress(record, into: &content)
        }
        let isLine = settings.format == .json && settings.compressionLevel == nil
        let length = content.count + (isLine ? 1 : 4)
        if let rotation = settings.rotation, settings.group == nil, size > 0,
            size + buffer.count + length > rotation.bytes
        {
            try rotate(rotation, now)
        }
        if isLine {
            buffer += content
            buffer.append(UInt8(ascii: "\n"))
        } else {
            let count = UInt32(content.count)
            buffer += (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) }
            buffer += content
        }
        if buffer.count >= Self.bufferSize { try flush() }
    }

    func flush() throws {
        var written = 0
        defer {
            buffer.removeFirst(written)
            size += written
        }
        while written < buffer.count {
            let count = buffer.withUnsafeBytes { bytes in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
                return Glibc.write(descriptor, rest.baseAddress, rest.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileSetError.failed("write", path: path, errno: errno)
            }
            written += count
        }
    }

    func close() throws { try flush() }

    // MARK: Rotation

    /// Renames the file by the time and begins a new one; old ones beyond what is kept are removed.
    private func rotate(_ rotation: FileSettings.Rotation, _ now: Int64) throws {
        try flush()
        let old = rotated(now, rotation.usesLocalTime)
        guard rename(path, old) == 0 else { throw FileSetError.failed("rename", path: path, errno: errno) }
        Glibc.close(descriptor)
        (descriptor, size) = try Self.open(path, keeps: false)
        removeOld(rotation, now)
    }

    private var nameParts: (directory: String, stem: String, suffix: String) {
        let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let name = path[slash...]
        let dot = name.lastIndex(of: ".") ?? name.endIndex
        return (String(path[..<slash]), String(name[..<dot]), String(name[dot...]))
    }

    private static let layout = GoTimeLayout("2006-01-02T15-04-05.000")

    private func rotated(_ now: Int64, _ isLocal: Bool) -> String {
        let parts = nameParts
        let time = GoTime(unixNanoseconds: now, in: isLocal ? (try? GoTimeZone.load("Local")) ?? .utc : .utc)
        return "\(parts.directory)\(parts.stem)-\(Self.layout.format(time))\(parts.suffix)"
    }

    private func removeOld(_ rotation: FileSettings.Rotation, _ now: Int64) {
        let parts = nameParts
        let directory = parts.directory.isEmpty ? "." : parts.directory
        guard let stream = opendir(directory) else { return }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasPrefix(parts.stem + "-"), name.hasSuffix(parts.suffix) else { continue }
            let stamp = name.dropFirst(parts.stem.count + 1).dropLast(parts.suffix.count)
            if (try? Self.layout.parse(String(stamp))) != nil { names.append(name) }
        }
        names.sort(by: >)
        var removed = rotation.backups > 0 ? Array(names.dropFirst(rotation.backups)) : []
        if rotation.days > 0 {
            let oldest = rotated(now - Int64(rotation.days) * 86_400_000_000_000, rotation.usesLocalTime)
            removed += names.filter { parts.directory + $0 < oldest }
        }
        for name in Set(removed) { unlink(parts.directory + name) }
    }
}
