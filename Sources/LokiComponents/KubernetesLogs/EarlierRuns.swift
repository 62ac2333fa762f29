import Kubernetes

/// Decides which run of a container before the one now has lines left to read, and for how long it is tried.
struct EarlierRuns {
    /// How often reading is tried.
    static let attempts = 5

    private var finished: String?
    private var failing: (id: String, attempts: Int)?

    /// Whether `run` may have lines after `known`, which is how far the container's log was delivered.
    func hasMore(_ run: ContainerState.EarlierRun, after known: LogResume) -> Bool {
        run.id != finished && run.ended >= known.second
    }

    /// Whether lines of the second of `known` may be of the run now as well as of `run`, so that their number does not
    /// tell what was delivered of `run`: the API tells times to the second only.
    static func isMixed(_ run: ContainerState.EarlierRun, _ known: LogResume) -> Bool {
        run.nextStarted.map { $0 <= known.second } ?? false
    }

    /// The run was read to its end.
    mutating func finish(_ run: ContainerState.EarlierRun) {
        finished = run.id
        failing = nil
    }

    /// Whether the run is left as it is, so that the log goes on with the one now.
    mutating func givesUp(_ run: ContainerState.EarlierRun, after error: KubernetesError) -> Bool {
        let before = failing?.id == run.id ? failing?.attempts ?? 0 : 0
        failing = (run.id, before + 1)
        guard error.isFinal || before + 1 >= Self.attempts else { return false }
        finish(run)
        return true
    }
}
