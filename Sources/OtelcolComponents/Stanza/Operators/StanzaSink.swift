import Glibc
import Synchronization
import TextFormats

/// Where entries leave a pipeline otherwise than to the receiver's output: `file_output`, `stdout`, `drop_output`.
///
/// A line for each entry is appended: ``StanzaEntry/line(escapesHTML:)``, or what the template of `format` makes of it,
/// which ends its lines itself. The file is opened when the first line is written, with mode 0600 as upstream has it, and
/// is never begun anew. Writing blocks.
///
/// Format: the operators of the same names of the collector's `pkg/stanza`.
final class StanzaSink: Sendable {
    enum Target: Sendable {
        case file(String)
        case standardOutput
        /// What arrives is dropped.
        case nowhere
    }

    let target: Target
    private let template: GoTemplate?
    private let descriptor = Mutex<CInt?>(nil)

    /// How often a full pipe is waited for, a second each.
    private static let patience = 10

    init(_ target: Target, template: GoTemplate? = nil) {
        self.target = target
        self.template = template
    }

    deinit {
        if case .file = target, let open = descriptor.withLock({ $0 }) { close(open) }
    }

    var dropsAll: Bool {
        if case .nowhere = target { true } else { false }
    }

    /// Appends what is written for an entry; nothing when that fails.
    func append(_ entry: StanzaEntry, to buffer: inout [UInt8]) throws(StanzaError) {
        guard let template else {
            var escapesHTML = false
            if case .standardOutput = target { escapesHTML = true }
            buffer += entry.line(escapesHTML: escapesHTML)
            return
        }
        let count = buffer.count
        do throws(GoTemplateError) {
            try template.execute(entry.templateValue, limits: .init(output: 1 << 20), into: &buffer)
        } catch {
            buffer.removeSubrange(count...)
            throw StanzaError("'format': \(error)")
        }
    }

    /// Writes lines, all of them or, when it throws, a part that is not known.
    func write(_ bytes: [UInt8]) throws(StanzaError) {
        let failure: StanzaError? = descriptor.withLock { known in
            do throws(StanzaError) {
                if known == nil { known = try open() }
                try Self.write(bytes, known ?? STDOUT_FILENO)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    private func open() throws(StanzaError) -> CInt {
        guard case .file(let path) = target else { return STDOUT_FILENO }
        let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw StanzaError("cannot open \(path): \(String(cString: strerror(errno)))") }
        return descriptor
    }

    private static func write(_ bytes: [UInt8], _ descriptor: CInt) throws(StanzaError) {
        var offset = 0
        var waits = 0
        while offset < bytes.count {
            let (count, code) = bytes.withUnsafeBytes { raw in
                let count = Glibc.write(descriptor, raw.baseAddress?.advanced(by: offset), raw.count - offset)
                return (count, errno)
            }
            if count >= 0 {
                offset += count
                waits = 0
                continue
            }
            if code == EINTR { continue }
            guard code == EAGAIN, waits < patience else {
                throw StanzaError("cannot write: \(String(cString: strerror(code)))")
            }
            waits += 1
            var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = poll(&wanted, 1, 1000)
        }
    }
}

/// What sinks have been given and not written yet. One owner at a time.
struct StanzaSinkBuffer: Sendable {
    /// Bytes that are written at once.
    static let size = 64 << 10

    private var bytes: [UInt8] = []
    private var count = 0

    mutating func add(_ entry: StanzaEntry, _ sink: StanzaSink, _ tally: inout LogTally) {
        if sink.dropsAll {
            tally.filtered += 1
            return
        }
        do throws(StanzaError) {
            try sink.append(entry, to: &bytes)
            count += 1
        } catch {
            tally.note(error, .drop)
        }
        if bytes.count >= Self.size { write(to: sink, &tally) }
    }

    mutating func write(to sink: StanzaSink, _ tally: inout LogTally) {
        if count == 0 { return }
        do throws(StanzaError) {
            try sink.write(bytes)
            tally.written += count
        } catch {
            tally.unwritten += count
            tally.problem = error
            tally.isQuiet = false
        }
        bytes.removeAll(keepingCapacity: bytes.capacity <= Self.size * 4)
        count = 0
    }
}

extension StanzaOperator {
    static func fileOutput(_ reader: inout OperatorReader) -> StanzaOperator? {
        let path = reader.required("path")
        let format = reader.string("format") ?? ""
        guard !path.isEmpty else { return nil }
        if format.isEmpty { return .sink(StanzaSink(.file(path))) }
        do throws(GoTemplateError) {
            return .sink(StanzaSink(.file(path), template: try GoTemplate(format, name: "file")))
        } catch {
            reader.reject("'format': \(error)")
            return nil
        }
    }

    static func stdout(_ reader: inout OperatorReader) -> StanzaOperator? { .sink(StanzaSink(.standardOutput)) }

    static func dropOutput(_ reader: inout OperatorReader) -> StanzaOperator? { .sink(StanzaSink(.nowhere)) }
}
