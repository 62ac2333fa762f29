import Essentials
import SelfMetrics

/// `runit`: services that runit supervises, from each one's `supervise/status`.
///
/// Source of the format: runit's `runsv.c`, and github.com/prometheus-community/go-runit, whose numbers of states count.
final class RunitCollector: NodeCollector {
    private let directory: String

    init(_ settings: UnixSettings) { directory = settings.runitDirectory }

    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        func gauge(_ name: String, _ help: String, _ service: String, _ value: Double) {
            page.add(
                page.gauge("node_service_" + name, help), "service", service, "supervisor", "runit", value)
        }
        for service in try Files.list(directory) where Directory.isDirectory(directory + "/" + service) {
            let path = directory + "/" + service
            let status = scrape.files.optional {
                try scrape.files.withFile(path + "/supervise/status") { bytes in Self.read(bytes) }
            }
            guard let status, let status else { continue }
            gauge("state", "State of runit service.", service, status.state)
            gauge("desired_state", "Desired state of runit service.", service, status.wanted)
            gauge(
                "state_last_change_timestamp_seconds", "Unix timestamp of the last runit service state change.",
                service, status.time)
            gauge(
                "normal_state", "Normal state of runit service.", service,
                Files.exists(path + "/supervise/down") ? 0 : 1)
        }
    }

    /// 20 bytes: a TAI64N label, a process ID in the processor's order, whether it is paused, what is wanted, whether it
    /// was told to end, and its state. Nil when it is something else.
    private static func read(_ bytes: Bytes) -> (state: Double, wanted: Double, time: Double)? {
        guard bytes.count == 20 else { return nil }
        let seconds = bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // The label counts from 2^62 on, ten seconds ahead of the time since 1970.
        let time = seconds &- (1 << 62) &- 10
        let wanted = bytes[17] == UInt8(ascii: "u") ? 1.0 : 0
        return (Double(bytes[19]), wanted, Double(Int64(bitPattern: time)))
    }
}
