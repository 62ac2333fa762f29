import Essentials
import Telemetry
import Transport

/// Makes entries of one reading of a container's log, leaving out what was delivered before.
struct DockerReader {
    /// What became of lines that are no entries.
    struct Tally: Sendable {
        /// Dropped by a rule.
        var dropped = 0
        /// Without a time.
        var malformed = 0
        var cut = 0
    }

    private let labels: [LabelSet?]
    /// The time of the newest line that was delivered before, of a terminal; nil for other containers.
    private let limit: Int64?
    private var parser: DockerLogParser
    private var filters: [LogResume.Filter]
    private var tally = Tally()

    init(_ target: DockerTarget, isTerminal: Bool, _ progress: DockerProgress) {
        labels = target.streams
        limit = isTerminal ? progress.newest : nil
        parser = DockerLogParser(isTerminal: isTerminal)
        filters = progress.streams.map { LogResume.Filter($0) }
    }

    /// How far everything is that was handed out.
    var progress: DockerProgress {
        DockerProgress(filters, pending: DockerStream.allCases.map { parser.pending($0) })
    }

    mutating func takeTally() -> Tally {
        tally.malformed = parser.takeUntimed()
        defer { tally = Tally() }
        return tally
    }

    /// Adds the new lines that `chunk` ends; returns why the stream cannot be read on.
    mutating func read(_ chunk: HTTPBodyChunk, into batch: inout LogBatch) -> DockerLogError? {
        chunk.withUnsafeBytes { bytes in
            var sink = Sink(labels: labels, limit: limit, filters: filters, tally: tally, batch: batch)
            batch = LogBatch()
            defer { take(&sink, &batch) }
            do throws(DockerLogError) {
                try parser.push(bytes) { sink.add($0) }
                return nil
            } catch {
                return error
            }
        }
    }

    /// Adds lines that have begun and will not go on.
    mutating func finish(into batch: inout LogBatch) {
        var sink = Sink(labels: labels, limit: limit, filters: filters, tally: tally, batch: batch)
        batch = LogBatch()
        parser.finish { sink.add($0) }
        take(&sink, &batch)
    }

    private mutating func take(_ sink: inout Sink, _ batch: inout LogBatch) {
        filters = sink.filters
        tally = sink.tally
        batch = sink.batch
    }

    /// Lines that have not come whole may take what the budget gives; what it does not give cuts them.
    mutating func keep(within lease: MemoryLease) {
        let held = parser.heldBytes
        if held < lease.held { lease.shrink(by: lease.held - held) }
        let isEnough = held <= lease.held || lease.grow(by: held - lease.held)
        parser.lineLimit = isEnough ? DockerLogParser.maximumLineBytes : DockerLogParser.partBytes
    }

    private struct Sink {
        let labels: [LabelSet?]
        let limit: Int64?
        var filters: [LogResume.Filter]
        var tally: Tally
        var batch: LogBatch

        mutating func add(_ line: DockerLogParser.Line) {
            let index = line.stream.rawValue
            guard filters[index].isNew(line.time) else {
                if let limit, let next = DockerLogParser.following(line, after: limit) { add(next) }
                return
            }
            if line.isCut { tally.cut += 1 }
            // As upstream, an empty line is no entry.
            if line.bytes.isEmpty { return }
            guard let labels = labels[index] else {
                tally.dropped += 1
                return
            }
            batch.append(line.bytes, stream: batch.stream(for: labels), timestamp: line.time)
        }
    }
}
