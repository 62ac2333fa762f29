import Telemetry

/// How far the log of a container was delivered, in each of its streams.
///
/// A daemon is asked from a whole second on. The lines of one stream come in the order of their times and are counted,
/// see ``LogResume``; lines of two streams may be out of order by a little, and a line that is written in parts belongs
/// to the time of its first, which may be long before.
struct DockerProgress: Sendable, Equatable {
    /// By stream; nil before the first line.
    var streams: [LogResume?] = [nil, nil]
    /// The second a daemon is asked from on, since 1970; nil for everything.
    var since: Int64?

    init() {}

    init(_ filters: [LogResume.Filter], pending: [Int64?]) {
        streams = filters.map(\.progress)
        guard let newest = streams.compactMap({ $0?.second }).max() else { return }
        since = streams.indices.map { index in
            if let time = pending[index] { return LogResume(newest: time, count: 0).second }
            // What the streams may be out of order by is far less than a second.
            return max(streams[index]?.second ?? .min, newest - 1)
        }.min()
    }

    /// Nanoseconds since 1970 of the newest line; nil before the first.
    var newest: Int64? { streams.compactMap { $0?.newest }.max() }

    /// What upstream keeps: the second of the newest line, or where an unfinished line began.
    var seconds: Int64? {
        guard let newest = streams.compactMap({ $0?.second }).max() else { return nil }
        return since.map { $0 < newest - 1 ? $0 : newest }
    }

    // MARK: Text

    /// As it is kept in a file of positions.
    var text: String {
        (["\(since ?? 0)"] + streams.map { $0?.text ?? "-" }).joined(separator: ",")
    }

    /// Reads what was kept. The exact text counts when it agrees with upstream's seconds; otherwise the second is read
    /// again, as upstream does.
    init(exact: String?, seconds: String?) {
        guard let seconds = seconds.flatMap({ Int64($0) }), seconds != 0 else { return }
        let parts = (exact ?? "").split(separator: ",", omittingEmptySubsequences: false)
        if parts.count == 3, let since = Int64(parts[0]) {
            self.since = since
            streams = parts[1...].map { LogResume(text: $0) }
            if self.seconds == seconds { return }
        }
        let (newest, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        since = overflow ? nil : seconds
        streams =
            overflow ? [nil, nil] : Array(repeating: LogResume(newest: newest, count: 0, isExact: false), count: 2)
    }
}

extension LogResume {
    /// Reads ``text``.
    init?(text: Substring) {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let newest = Int64(parts[0]), let count = Int(parts[1]), count >= 0 else { return nil }
        self.init(newest: newest, count: count)
    }
}
