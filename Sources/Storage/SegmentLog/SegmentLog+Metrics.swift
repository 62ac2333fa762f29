import Essentials
package import SelfMetrics

extension SegmentLogStatistics {
    /// What a queue tells about itself, under the same names for every signal; `queue` tells queues of a component apart.
    package func families(queue: String) -> [CollectedFamily] {
        func family(_ name: String, _ help: String, _ kind: MetricKind, _ value: Int) -> CollectedFamily {
            CollectedFamily(
                name: "invar_queue_" + name, help: help, kind: kind,
                samples: [CollectedSample(labels: [("queue", queue)], value: Double(value))])
        }
        return [
            family("segments", "Files of the durable queue.", .gauge, segments),
            family("disk_bytes", "Bytes of the durable queue on disk.", .gauge, bytes.bytes),
            family("memory_bytes", "Bytes of the newest records of the durable queue in memory.", .gauge, memory.bytes),
            family(
                "damaged_segments_total", "Files of the durable queue in which something unreadable was met.", .counter,
                damagedSegments),
            family("torn_bytes_total", "Bytes of unfinished records cut off at opening.", .counter, tornBytes),
            family("failed_writes_total", "Writes to the durable queue that failed.", .counter, failedWrites),
            family("failed_syncs_total", "Synchronisations of the durable queue that failed.", .counter, failedSyncs),
        ]
    }
}
