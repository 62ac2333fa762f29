/// When what was written to a queue's files is made to survive the machine, not only the process.
package enum SyncPolicy: Sendable, Equatable {
    /// Left to the kernel.
    case never
    case interval(Duration)
    /// Before the sender is told that its data was taken.
    case always
}
