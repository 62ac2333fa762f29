/// Profiles of one label set, as pprof bytes decoded only by processors that ask.
package struct ProfileBatch: Batch {
    package static var signal: Signal { .profiles }

    package var labels: LabelSet
    package var profiles: [[UInt8]]
    package var takenBy = ReceiverSet()

    package init(labels: LabelSet, profiles: [[UInt8]]) {
        self.labels = labels
        self.profiles = profiles
    }

    package var itemCount: Int { profiles.count }
    package var byteCount: Int { profiles.reduce(0) { $0 + $1.count } }
}
