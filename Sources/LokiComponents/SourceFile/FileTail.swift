import Compression
import Essentials
import LogSources
import Storage
import Telemetry

/// How far one file is read: follows it through growth, rotation, truncation and deletion. Blocks; no tasks, no clock.
///
/// Only whole lines are taken. ``read(into:stream:limit:now:)`` moves a tentative position, ``commit()`` makes it the position once
/// the lines are delivered. The rest of an unfinished line stays in the file and is read again when it is complete, so
/// that an idle file costs a descriptor and a few hundred bytes.
struct FileTail: ~Copyable {
    struct Options: Sendable, Equatable {
        var characterSet: CharacterSet?
        var compression: CompressionFormat?
        var tailsFromEnd = false
        /// Shorter in tests: where lines are cut.
        var maximumLineBytes = LineSplitter.maximumLineBytes
    }

    /// What there is to do with the file.
    enum Activity: Sendable, Equatable {
        /// Nothing until the next look.
        case idle
        /// There are bytes to read.
        case readable
        /// It will never have more: a compressed file read to its end.
        case finished
    }

    private enum Phase: Equatable {
        /// Not open: not there yet, or not readable.
        case closed
        case tailing
        /// The name stands for another file or none. Writers may still hold this one: it is left after two looks at
        /// which it had not grown.
        case leaving(quietLooks: Int, wasAbsent: Bool)
        /// As `leaving`, with nothing left but a line without an end.
        case closing(wasAbsent: Bool)
        case finished
    }

    let path: String
    let options: Options
    private let configuredDecoder: TextDecoder
    private var decoder: TextDecoder
    private var phase = Phase.closed
    private var file: OpenFile?
    /// Byte after the last line delivered.
    private(set) var position: Int64
    /// Byte after the last line read.
    private var tentative: Int64
    /// Size at which the bytes after `position` were found to hold no whole line.
    private var seenSize: Int64 = 0
    private var seenModified: Int64 = 0
    /// Bytes from the beginning of what was read, to tell a new content from more of the old one.
    private var signature: [UInt8] = [] {
        didSet { if signature.count != oldValue.count { headHash = FileFingerprint.hash(signature) } }
    }
    private var headHash: UInt64 = 0
    private var device: UInt64 = 0
    private var inode: UInt64 = 0
    /// What was read in an earlier life, until the file is opened for the first time.
    private var earlier: EarlierFile?
    /// Whether the file read in an earlier life could not be found any more, to be reported once.
    var hasLostEarlierFile = false
    /// In the middle of a line that was cut: how far its rest was skipped.
    private var skipped: Int64?
    private var startsAtEnd: Bool
    private var lastTimestamp: Int64 = .min
    private var compressed: CompressedReader?
    /// Size when last looked at, for metrics.
    private(set) var size: Int64 = 0
    /// Lines cut at the maximum length since this was last set to zero.
    var cutLines = 0
    /// Why the file cannot be read, while it cannot.
    private(set) var problem: String?

    static let signatureBytes = 1024

    /// Starts at byte `position`; with `options.tailsFromEnd` and no position, at the file's last line break.
    /// `earlier` tells which file the position belongs to, if that is known.
    init(
        path: String, position: Int64?, options: Options, decoder: TextDecoder, earlier: EarlierFile? = nil
    ) {
        self.path = path
        self.options = options
        configuredDecoder = decoder
        self.decoder = decoder
        self.position = max(0, position ?? 0)
        tentative = self.position
        startsAtEnd = options.tailsFromEnd && (position ?? 0) == 0
        self.earlier = options.compression == nil ? earlier : nil
    }

    /// What tells the file being read from others; nil while nothing of it was read.
    var fingerprint: FileFingerprint? {
        guard !signature.isEmpty, position >= Int64(signature.count) else { return nil }
        return FileFingerprint(
            device: device, inode: inode, headBytes: signature.count, headHash: headHash, position: position)
    }

    /// Whether the position is that of a file which is open or was not looked for yet.
    var needsPosition: Bool { file != nil || earlier != nil }

    /// True while the file is open.
    var isOpen: Bool { file != nil }

    // MARK: Looking

    /// Looks at the file without reading lines.
    mutating func look() -> Activity {
        do throws(SystemError) {
            let activity = try lookOrThrow()
            problem = nil
            return activity
        } catch {
            problem = error.description
            return .idle
        }
    }

    private mutating func lookOrThrow() throws(SystemError) -> Activity {
        switch phase {
        case .finished: return .finished
        case .closing: return .readable
        case .closed:
            guard try openFile() else { return .idle }
        case .tailing, .leaving: break
        }
        if options.compression != nil { return phase == .finished ? .finished : .readable }
        guard let own = try file?.status() else { return .idle }
        size = own.size
        let named = try OpenFile.status(of: path)
        if case .leaving(let quietLooks, let wasAbsent) = phase {
            let isAbsent = wasAbsent || named == nil
            if own.size > max(position, seenSize) {
                phase = .leaving(quietLooks: 0, wasAbsent: isAbsent)
                return .readable
            }
            if quietLooks < 1 {
                phase = .leaving(quietLooks: quietLooks + 1, wasAbsent: isAbsent)
                return .idle
            }
            if own.size > position, skipped == nil {
                phase = .closing(wasAbsent: isAbsent)
                return .readable
            }
            try leave(wasAbsent: isAbsent)
            return file == nil ? .idle : .readable
        }
        guard let named, named.isSameFile(as: own) else {
            phase = .leaving(quietLooks: 0, wasAbsent: named == nil)
            return own.size > max(position, seenSize) ? .readable : .idle
        }
        if own.size != seenSize || own.modified != seenModified { try checkContent(own) }
        seenModified = own.modified
        if own.size > max(position, seenSize) { return .readable }
        return .idle
    }

    /// Opens what the name stands for; false when that is nothing.
    private mutating func openFile() throws(SystemError) -> Bool {
        let named = try OpenFile.status(of: path)
        if let earlier {
            self.earlier = nil
            if try resume(earlier, named) { return true }
        }
        guard let named else {
            // What comes into being while it is waited for is read from its beginning.
            startsAtEnd = false
            return false
        }
        guard !named.isDirectory else { throw SystemError("read", path, code: 21) }
        guard named.isRegular else { throw SystemError("read", path, code: 29) }
        let next = try OpenFile(path)
        let status = try next.status()
        size = status.size
        file = next
        (device, inode) = (status.device, status.inode)
        if options.compression == nil, position > status.size {
            // It was truncated or replaced while nobody looked.
            position = 0
        }
        try detectByteOrder()
        if startsAtEnd, position == 0 || position == byteOrderMark { position = try lastLineStart(status.size) }
        startsAtEnd = false
        tentative = position
        seenSize = 0
        seenModified = status.modified
        skipped = nil
        phase = .tailing
        try refreshSignature()
        return true
    }

    /// Opens the file that was read in an earlier life if it is not the one the name stands for now; false when it is,
    /// or when it is not found and the one of the name is read from its beginning.
    private mutating func resume(_ earlier: EarlierFile, _ named: OpenFile.Status?) throws(SystemError) -> Bool {
        switch earlier.find(path, named) {
        case .same: return false
        case .gone(let mayHaveMore):
            hasLostEarlierFile = mayHaveMore
            position = 0
            tentative = 0
            return false
        case .elsewhere(let found):
            let status = try found.status()
            file = found
            (device, inode) = (status.device, status.inode)
            size = status.size
            position = min(earlier.fingerprint.position, status.size)
            try detectByteOrder()
            tentative = position
            startsAtEnd = false
            seenModified = status.modified
            try refreshSignature()
            phase = .leaving(quietLooks: 0, wasAbsent: named == nil)
            return true
        }
    }

    /// Goes on with what the name stands for now.
    private mutating func leave(wasAbsent: Bool) throws(SystemError) {
        let links = (try? file?.status().links) ?? 0
        let oldSignature = signature
        let oldPosition = position
        file = nil
        phase = .closed
        position = 0
        signature = []
        guard try openFile() else {
            tentative = 0
            return
        }
        // A file put in place of another at one stroke may begin with what was read already. One that was renamed away
        // still has a name, and one whose name was gone for a while is no copy.
        guard links == 0, !wasAbsent, !oldSignature.isEmpty else { return }
        let beginning = try file?.bytes(at: 0, upTo: oldSignature.count) ?? []
        if beginning == oldSignature {
            position = min(oldPosition, size)
            tentative = position
            signature = oldSignature
        }
    }

    /// Starts over when the file does not continue what was read: it was truncated, perhaps filled again since.
    private mutating func checkContent(_ status: OpenFile.Status) throws(SystemError) {
        guard options.compression == nil else { return }
        if status.size < position {
            startOver()
        } else if try !hasSameBeginning() {
            startOver()
        }
        if status.size < seenSize { seenSize = position }
    }

    /// The same file has a new content.
    private mutating func startOver() {
        position = 0
        tentative = 0
        seenSize = 0
        skipped = nil
        signature = []
        decoder = configuredDecoder
        try? detectByteOrder()
        tentative = position
    }

    private func hasSameBeginning() throws(SystemError) -> Bool {
        if signature.isEmpty { return true }
        return try file?.bytes(at: 0, upTo: signature.count) == signature
    }

    private mutating func refreshSignature() throws(SystemError) {
        guard options.compression == nil, signature.count < Self.signatureBytes, position > Int64(signature.count)
        else {
            return
        }
        signature = try file?.bytes(at: 0, upTo: Int(min(position, Int64(Self.signatureBytes)))) ?? []
    }

    // MARK: Byte order

    /// Bytes of the mark found at the beginning.
    private var byteOrderMark: Int64 = 0

    /// Chooses the decoder by the byte order mark, if there is one, and steps over it.
    private mutating func detectByteOrder() throws(SystemError) {
        byteOrderMark = 0
        guard options.compression == nil else { return }
        let head = try file?.bytes(at: 0, upTo: 4) ?? []
        let (length, found) = Self.byteOrder(head)
        decoder = found ?? configuredDecoder
        byteOrderMark = length
        position = max(position, length)
        tentative = max(tentative, position)
    }

    /// Length of the mark at the beginning of `head` and the decoder it asks for.
    static func byteOrder(_ head: [UInt8]) -> (length: Int64, decoder: TextDecoder?) {
        if head.starts(with: [0xEF, 0xBB, 0xBF]) { return (3, .verbatim) }
        if head.starts(with: [0xFE, 0xFF]) { return (2, .utf16BigEndian) }
        if head.starts(with: [0xFF, 0xFE]) { return (2, .utf16LittleEndian) }
        if head == [0x00, 0x00, 0xFE, 0xFF] { return (4, nil) }
        return (0, nil)
    }

    /// The byte after the last line break before `end`.
    private func lastLineStart(_ end: Int64) throws(SystemError) -> Int64 {
        let step: Int64 = 4096
        // Chunks begin at even distances from the beginning, so that wide characters stay whole.
        var start = max(byteOrderMark, (end - 1) / step * step)
        var stop = end
        while true {
            let bytes = try file?.bytes(at: start, upTo: Int(stop - start)) ?? []
            var found: Int?
            bytes.withUnsafeBytes { raw in
                var position = 0
                while let (_, next) = LineSplitter.lineEnd(in: raw, from: position, decoder) {
                    found = next
                    position = next
                }
            }
            if let found { return start + Int64(found) }
            if start <= byteOrderMark { return byteOrderMark }
            stop = start
            start = max(byteOrderMark, start - step)
        }
    }

    // MARK: Reading

    /// What one reading gave.
    struct Outcome: Sendable {
        /// Lines added to the batch.
        var lines = 0
        /// Whether there is more to read at once.
        var hasMore = false
    }

    /// Adds lines of about `limit` bytes to `batch` (more only for a single longer line). `now` is nanoseconds since 1970.
    mutating func read(
        into batch: inout LogBatch, stream: Int32, limit: Int, now: Int64
    ) -> Outcome {
        var splitter = LineSplitter(decoder: decoder, stream: stream, timestamp: max(now, lastTimestamp &+ 1))
        let before = batch.entries.count
        defer { if batch.entries.count > before { lastTimestamp = splitter.timestamp &- 1 } }
        var outcome = Outcome()
        do {
            if options.compression != nil {
                outcome.hasMore = try readCompressed(into: &batch, &splitter, limit: limit)
            } else {
                outcome.hasMore = try readPlain(into: &batch, &splitter, limit: limit)
            }
            problem = nil
        } catch {
            problem = "\(error)"
        }
        outcome.lines = batch.entries.count - before
        return outcome
    }

    private mutating func readPlain(
        into batch: inout LogBatch, _ splitter: inout LineSplitter, limit: Int
    ) throws(SystemError) -> Bool {
        if let status = try file?.status() { try checkContent(status) }
        splitter.decoder = decoder
        tentative = position
        if skipped != nil, try !skipLine(limit: max(limit, 65_536)) { return false }
        var wanted = max(limit, 4096) & ~1
        while true {
            let start = batch.arena.count
            let chunk = try file?.bytes(at: position, upTo: wanted, into: &batch.arena) ?? 0
            let rest: Int
            if decoder.isVerbatim {
                rest = splitter.addLines(inArenaOf: &batch, from: start) - start
                batch.arena.removeLast(batch.arena.count - start - rest)
            } else {
                let raw = Array(batch.arena[start...])
                batch.arena.removeLast(batch.arena.count - start)
                rest = raw.withUnsafeBytes { splitter.addLines(of: $0, to: &batch) }
            }
            if rest > 0 {
                tentative = position + Int64(rest)
                if chunk == wanted { return true }
                seenSize = position + Int64(chunk)
                return finishIfClosing(into: &batch, &splitter)
            }
            guard chunk == wanted else {
                seenSize = position + Int64(chunk)
                return finishIfClosing(into: &batch, &splitter)
            }
            if wanted >= options.maximumLineBytes {
                try cutLine(into: &batch, &splitter)
                return true
            }
            wanted = min(wanted * 8, options.maximumLineBytes & ~1)
        }
    }

    /// Adds the beginning of a line that is too long; its rest is skipped by the readings that follow.
    private mutating func cutLine(into batch: inout LogBatch, _ splitter: inout LineSplitter) throws(SystemError) {
        let bytes = try file?.bytes(at: position, upTo: options.maximumLineBytes & ~1) ?? []
        bytes.withUnsafeBytes { splitter.addLine($0, to: &batch) }
        cutLines += 1
        // The position stays at the line's beginning until its end is found: better twice than half of it as a new line.
        skipped = position + Int64(bytes.count)
    }

    /// Skips to the end of a line that was cut; false while its end is not there.
    private mutating func skipLine(limit: Int) throws(SystemError) -> Bool {
        while let at = skipped {
            let bytes = try file?.bytes(at: at, upTo: limit & ~1) ?? []
            if let end = bytes.withUnsafeBytes({ LineSplitter.lineEnd(in: $0, from: 0, decoder) }) {
                skipped = nil
                position = at + Int64(end.next)
                tentative = position
                return true
            }
            skipped = at + Int64(bytes.count & ~1)
            if bytes.count < limit & ~1 {
                seenSize = at + Int64(bytes.count)
                return false
            }
        }
        return true
    }

    /// In the last reading of a file that is left, adds the line without an end.
    private mutating func finishIfClosing(into batch: inout LogBatch, _ splitter: inout LineSplitter) -> Bool {
        guard case .closing(let wasAbsent) = phase else { return false }
        if tentative < seenSize {
            let rest = (try? file?.bytes(at: tentative, upTo: Int(seenSize - tentative))) ?? []
            rest.withUnsafeBytes { splitter.addLine($0, to: &batch) }
            tentative = seenSize
        }
        phase = .leaving(quietLooks: 2, wasAbsent: wasAbsent)
        return false
    }

    /// Makes what was read the position: the lines are in good hands.
    mutating func commit() {
        if tentative > position {
            position = tentative
            try? refreshSignature()
        }
    }

    // MARK: Compressed files

    private mutating func readCompressed(
        into batch: inout LogBatch, _ splitter: inout LineSplitter, limit: Int
    ) throws -> Bool {
        guard let format = options.compression, phase != .finished else { return false }
        if compressed == nil { compressed = try CompressedReader(format, from: position) }
        do {
            let progress = try compressed?.read(
                from: file, into: &batch, &splitter, configured: configuredDecoder, limit: limit,
                maximumLineBytes: options.maximumLineBytes)
            decoder = splitter.decoder
            cutLines += progress?.cutLines ?? 0
            tentative = max(position, progress?.position ?? position)
            if progress?.isAtEnd ?? true { phase = .finished }
            return phase != .finished
        } catch {
            phase = .finished
            throw error
        }
    }

    /// Frees what reading needs: descriptor and decompressor.
    mutating func close() {
        file = nil
        compressed = nil
        if phase != .finished { phase = .closed }
    }
}

extension OpenFile {
    /// Appends up to `count` bytes from byte `offset` on and returns their number.
    func bytes(at offset: Int64, upTo count: Int, into output: inout [UInt8]) throws(SystemError) -> Int {
        var failure: SystemError?
        let before = output.count
        output.appendUninitialized(count) { room in
            do throws(SystemError) {
                return try read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: room.prefix(count)))
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return output.count - before
    }
}
