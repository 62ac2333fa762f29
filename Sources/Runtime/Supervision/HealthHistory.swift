import ComponentKit

/// How the health that operators see of a node has changed, the oldest first; a bounded number of changes.
struct HealthHistory: Sendable {
    /// Changes that are kept.
    static let limit = 16

    private(set) var changes: [TimedHealth] = []

    /// Notes `health` when it differs from what was noted last. Where only the words change, the latest take the place of
    /// those before but for the first of their state, so that they do not push changes of state out.
    mutating func note(_ health: Health, at time: @autoclosure () -> Int64) {
        guard changes.last?.health != health else { return }
        if changes.count >= 2, changes.suffix(2).allSatisfy({ $0.health.state == health.state }) {
            changes.removeLast()
        }
        changes.append(TimedHealth(health, at: time()))
        if changes.count > Self.limit { changes.removeFirst() }
    }
}
