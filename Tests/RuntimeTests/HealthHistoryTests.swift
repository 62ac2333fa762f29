import ComponentKit
import Testing

@testable import Runtime

@Suite("HealthHistory")
struct HealthHistoryTests {
    @Test("Only changes are kept, at most sixteen, and words do not push out states")
    func bounded() {
        var history = HealthHistory()
        history.note(.healthy("ready"), at: 1)
        history.note(.healthy("ready"), at: 2)
        #expect(history.changes == [TimedHealth(.healthy("ready"), at: 1)])
        history.note(.unhealthy("no"), at: 3)
        for number in 0..<100 { history.note(.healthy("found \(number)"), at: 4 + Int64(number)) }
        #expect(
            history.changes == [
                TimedHealth(.healthy("ready"), at: 1), TimedHealth(.unhealthy("no"), at: 3),
                TimedHealth(.healthy("found 0"), at: 4), TimedHealth(.healthy("found 99"), at: 103),
            ])
        for number in 0..<40 {
            history.note(.unhealthy("down"), at: 200 + Int64(number))
            history.note(.healthy("up"), at: 200 + Int64(number))
        }
        #expect(history.changes.count == HealthHistory.limit && history.changes.last?.time == 239)
    }
}
