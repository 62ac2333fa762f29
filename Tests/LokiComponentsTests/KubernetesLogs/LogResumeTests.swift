import Testing

@testable import LokiComponents

@Suite("LogResume")
struct LogResumeTests {
    private static let second: Int64 = 1_000_000_000

    /// What a server sends that is asked for lines from the second of `resume` on.
    private func replay(_ log: [Int64], _ resume: LogResume?) -> [Int64] {
        log.filter { time in resume.map { time >= $0.second * Self.second } ?? true }
    }

    /// Reads `log` up to `cut` lines, then from what was kept, and returns everything delivered.
    private func deliver(_ log: [Int64], cut: Int) -> (delivered: [Int64], resume: LogResume?) {
        var filter = LogResume.Filter(nil)
        var delivered = log.prefix(cut).filter { filter.isNew($0) }
        let kept = filter.progress
        let restored = kept.flatMap { LogResume(exact: $0.text, microseconds: "\($0.newest / 1_000)") }
        #expect(restored == kept)
        var next = LogResume.Filter(restored)
        delivered += replay(log, restored).filter { next.isNew($0) }
        return (delivered, next.progress)
    }

    @Test("Wherever reading stops, it goes on without a gap and without a repeat")
    func everyCut() {
        let s = Self.second
        let logs: [[Int64]] = [
            [1 * s, 1 * s + 1, 1 * s + 1, 2 * s, 2 * s, 2 * s, 3 * s],
            // Out of order within a second and across one.
            [5 * s + 900, 5 * s + 100, 6 * s + 5, 5 * s + 950, 6 * s + 1, 6 * s + 5, 7 * s],
            Array(repeating: 9 * s, count: 10),
            [],
        ]
        for log in logs {
            for cut in 1...max(log.count, 1) where cut <= log.count {
                let (delivered, resume) = deliver(log, cut: cut)
                // Lines of an earlier second that come late are the only ones a server is not asked for again.
                let newest = log.prefix(cut).max() ?? 0
                let expected = log.prefix(cut) + log.dropFirst(cut).filter { $0 >= newest / s * s }
                #expect(delivered == Array(expected), "cut \(cut) of \(log)")
                var again = LogResume.Filter(resume)
                let repeated = replay(log, resume).filter { again.isNew($0) }
                #expect(repeated == [], "cut \(cut) of \(log)")
            }
        }
    }

    @Test("Lines that were rotated away are not waited for")
    func rotation() {
        let s = Self.second
        let resume = LogResume(newest: 5 * s + 300, count: 3)
        var filter = LogResume.Filter(resume)
        // The new file begins with one line of the last second, which was not delivered.
        let new = [5 * s + 400, 6 * s].filter { filter.isNew($0) }
        #expect(new == [5 * s + 400, 6 * s])
        #expect(filter.progress == LogResume(newest: 6 * s, count: 1))
    }

    @Test("With the time alone nothing is lost, and lines of that very time come again")
    func timeOnly() throws {
        let s = Self.second
        let resume = try #require(LogResume(exact: nil, microseconds: "5000300"))
        #expect(resume.newest == 5 * s + 300_000 && !resume.isExact)
        var filter = LogResume.Filter(resume)
        let log = [5 * s, 5 * s + 300_000, 5 * s + 300_000, 5 * s + 300_001]
        let new = log.filter { filter.isNew($0) }
        #expect(new == Array(log.dropFirst()))
        #expect(filter.progress == LogResume(newest: 5 * s + 300_001, count: 4))
    }

    @Test(
        "What was kept by somebody else or is damaged counts as far as it makes sense",
        arguments: keptTexts)
    func kept(exact: String?, micros: String?, expected: LogResume?) {
        #expect(LogResume(exact: exact, microseconds: micros) == expected)
    }

    private static let keptTexts: [(String?, String?, LogResume?)] = [
        ("5000300000:2", "5000300", LogResume(newest: 5_000_300_000, count: 2)),
        ("5000300000:2", "6000000", LogResume(newest: 6_000_000_000, count: 0, isExact: false)),
        ("x:y", "6000000", LogResume(newest: 6_000_000_000, count: 0, isExact: false)),
        ("5000300000:-1", "5000300", LogResume(newest: 5_000_300_000, count: 0, isExact: false)),
        ("5000300000:2", nil, nil), (nil, "zero", nil), (nil, "0", nil), (nil, "9223372036854775807", nil),
    ]
}
