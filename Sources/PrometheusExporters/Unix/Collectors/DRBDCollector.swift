import Essentials
import SelfMetrics

/// `drbd`: replicated block devices, from `/proc/drbd`.
final class DRBDCollector: NodeCollector {
    private struct Number {
        let key: String
        let metric: String
        let help: String
        let kind: MetricKind
        let factor: Double

        init(_ key: String, _ metric: String, _ help: String, _ kind: MetricKind, _ factor: Double = 1) {
            self.key = key
            self.metric = metric
            self.help = help
            self.kind = kind
            self.factor = factor
        }
    }

    private static let numbers: [Number] = [
        Number("ns", "network_sent_bytes_total", "Total number of bytes sent via the network.", .counter, 1024),
        Number("nr", "network_received_bytes_total", "Total number of bytes received via the network.", .counter),
        Number("dw", "disk_written_bytes_total", "Net data written on local hard disk; in bytes.", .counter, 1024),
        Number("dr", "disk_read_bytes_total", "Net data read from local hard disk; in bytes.", .counter, 1024),
        Number(
            "al", "activitylog_writes_total", "Number of updates of the activity log area of the meta data.", .counter),
        Number("bm", "bitmap_writes_total", "Number of updates of the bitmap area of the meta data.", .counter),
        Number("lo", "local_pending", "Number of open requests to the local I/O sub-system.", .gauge),
        Number(
            "pe", "remote_pending",
            "Number of requests sent to the peer, but that have not yet been answered by the latter.", .gauge),
        Number(
            "ua", "remote_unacknowledged",
            "Number of requests received by the peer via the network connection, but that have not yet been answered.",
            .gauge),
        Number(
            "ap", "application_pending",
            "Number of block I/O requests forwarded to DRBD, but not yet answered by DRBD.", .gauge),
        Number("ep", "epochs", "Number of Epochs currently on the fly.", .gauge),
        Number("oos", "out_of_sync_bytes", "Amount of data known to be out of sync; in bytes.", .gauge, 1024),
    ]

    /// States of this node and its peer, with the one that is good.
    private static let pairs: [(key: String, metric: String, help: String, good: StaticString)] = [
        ("ro", "node_role_is_primary", "Whether the role of the node is in the primary state.", "Primary"),
        ("ds", "disk_state_is_up_to_date", "Whether the disk of the node is up to date.", "UpToDate"),
    ]

    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("drbd")
        let page = scrape.page
        try noDataIfMissing {
            try scrape.files.withFile(path) { bytes in
                var device = "unknown"
                for word in bytes.fields {
                    guard let (key, value) = word.cut(at: ":"), value.index(of: ":") == nil else { continue }
                    if value.isEmpty {
                        if let number = key.unsigned { device = "drbd\(number)" }
                        continue
                    }
                    let name = key.string
                    if let entry = Self.numbers.first(where: { $0.key == name }) {
                        guard let number = value.number else { throw MalformedFile(path: path) }
                        page.add(
                            page.family("node_drbd_" + entry.metric, entry.help, entry.kind), "device", device,
                            number * entry.factor)
                    } else if let entry = Self.pairs.first(where: { $0.key == name }) {
                        guard let (own, peer) = value.cut(at: "/") else { throw MalformedFile(path: path) }
                        let family = page.gauge("node_drbd_" + entry.metric, entry.help)
                        page.add(family, "device", device, "node", "local", own.equals(entry.good) ? 1 : 0)
                        page.add(family, "device", device, "node", "remote", peer.equals(entry.good) ? 1 : 0)
                    } else if name == "cs" {
                        page.add(
                            page.gauge("node_drbd_connected", "Whether DRBD is connected to the peer."), "device",
                            device, value.equals("Connected") ? 1 : 0)
                    }
                }
            }
        }
    }
}
