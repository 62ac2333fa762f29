import Essentials
import SelfMetrics
import TextFormats

/// `systemd`: units and the state of the system, asked over the system's message bus.
final class SystemdCollector: NodeCollector {
    private struct Unit {
        var name: String
        var state: String
        var path: String
    }

    private static let service = "org.freedesktop.systemd1"
    private static let root = "/org/freedesktop/systemd1"
    private static let states: [String] = ["active", "activating", "deactivating", "inactive", "failed"]

    private let arguments: SystemdArguments
    private let socket: String
    private let version = try? RegularExpression(#"[0-9]{3,}(\.[0-9]+)?"#)

    init(_ settings: UnixSettings) {
        arguments = settings.systemd
        socket = settings.systemBus
    }

    func collect(_ scrape: NodeScrape) throws {
        let bus = try DBusConnection(socket)
        let number = addVersion(bus, scrape)
        let all = try units(bus)
        let page = scrape.page
        let summary = page.gauge("node_systemd_units", "Summary of systemd unit states")
        var counts: [String: Int] = Dictionary(uniqueKeysWithValues: Self.states.map { ($0, 0) })
        for unit in all { counts[unit.unit.state, default: 0] += 1 }
        for (state, count) in counts.sorted(by: { $0.key < $1.key }) {
            page.add(summary, "state", state, Double(count))
        }

        for (unit, isLoaded) in all where isLoaded && arguments.includes(unit.name) {
            try addState(unit, bus, scrape)
            if arguments.exportsStartTimes { try addStartTime(unit, bus, scrape) }
            if unit.name.hasSuffix(".service"), arguments.exportsTasks { try addTasks(unit, bus, scrape) }
            if unit.name.hasSuffix(".timer"), number >= 212 { try addTimer(unit, bus, scrape) }
            if unit.name.hasSuffix(".socket") { try addSocket(unit, bus, scrape) }
        }
        guard number >= 212 else { return }
        let state = try bus.property(Self.service, Self.root, Self.service + ".Manager", "SystemState").string
        page.add(
            page.gauge(
                "node_systemd_system_running",
                "Whether the system is operational (see 'systemctl is-system-running')"),
            state == "running" ? 1 : 0)
    }

    private func addVersion(_ bus: DBusConnection, _ scrape: NodeScrape) -> Double {
        let text = (try? bus.property(Self.service, Self.root, Self.service + ".Manager", "Version"))?.string ?? ""
        let found = version?.firstMatch(in: text)?.first ?? nil
        let number = found.flatMap { Double($0) } ?? 0
        scrape.page.add(
            scrape.page.gauge("node_systemd_version", "Detected systemd version"), "version", number > 0 ? text : "",
            number)
        return number
    }

    private func units(_ bus: DBusConnection) throws -> [(unit: Unit, isLoaded: Bool)] {
        let answer = try bus.call(Self.service, Self.root, Self.service + ".Manager", "ListUnits")
        return (answer.first?.list ?? []).compactMap { row in
            guard let row = row.list, row.count > 6, let name = row[0].string, let loaded = row[2].string,
                let state = row[3].string, let path = row[6].string
            else { return nil }
            return (Unit(name: name, state: state, path: path), loaded == "loaded")
        }
    }

    /// A property, nil when the unit has none of the name; what breaks the connection is thrown.
    private func property(
        _ unit: Unit, _ bus: DBusConnection, _ kind: String, _ name: String
    ) throws -> DBusValue? {
        do {
            return try bus.property(Self.service, unit.path, "\(Self.service).\(kind)", name)
        } catch let error as DBusError where error.description.hasPrefix("org.freedesktop.") {
            return nil
        }
    }

    private func addState(_ unit: Unit, _ bus: DBusConnection, _ scrape: NodeScrape) throws {
        let page = scrape.page
        var type = ""
        if unit.name.hasSuffix(".service") {
            type = try property(unit, bus, "Service", "Type")?.string ?? ""
        } else if unit.name.hasSuffix(".mount") {
            type = try property(unit, bus, "Mount", "Type")?.string ?? ""
        }
        let family = page.gauge("node_systemd_unit_state", "Systemd unit")
        for state in Self.states {
            page.add(
                family, labels: [("name", unit.name), ("state", state), ("type", type)], unit.state == state ? 1 : 0)
        }
        guard arguments.exportsRestarts, unit.name.hasSuffix(".service"),
            let restarts = try property(unit, bus, "Service", "NRestarts")?.unsigned
        else { return }
        page.add(
            page.counter("node_systemd_service_restart_total", "Service unit count of Restart triggers"), "name",
            unit.name, Double(restarts))
    }

    private func addStartTime(_ unit: Unit, _ bus: DBusConnection, _ scrape: NodeScrape) throws {
        var time: UInt64 = 0
        if unit.state == "active" {
            guard let value = try property(unit, bus, "Unit", "ActiveEnterTimestamp")?.unsigned else { return }
            time = value
        }
        scrape.page.add(
            scrape.page.gauge(
                "node_systemd_unit_start_time_seconds", "Start time of the unit since unix epoch in seconds."),
            "name", unit.name, Double(time) / 1e6)
    }

    private func addTasks(_ unit: Unit, _ bus: DBusConnection, _ scrape: NodeScrape) throws {
        let kinds: [(property: String, metric: String, help: String)] = [
            ("TasksCurrent", "unit_tasks_current", "Current number of tasks per Systemd unit"),
            ("TasksMax", "unit_tasks_max", "Maximum number of tasks per Systemd unit"),
        ]
        for kind in kinds {
            // All ones stand for no number.
            guard let value = try property(unit, bus, "Service", kind.property)?.unsigned, value != .max else {
                continue
            }
            scrape.page.add(
                scrape.page.gauge("node_systemd_" + kind.metric, kind.help), "name", unit.name, Double(value))
        }
    }

    private func addTimer(_ unit: Unit, _ bus: DBusConnection, _ scrape: NodeScrape) throws {
        guard let time = try property(unit, bus, "Timer", "LastTriggerUSec")?.unsigned else { return }
        scrape.page.add(
            scrape.page.gauge("node_systemd_timer_last_trigger_seconds", "Seconds since epoch of last trigger."),
            "name", unit.name, Double(time) / 1e6)
    }

    private func addSocket(_ unit: Unit, _ bus: DBusConnection, _ scrape: NodeScrape) throws {
        let page = scrape.page
        guard let accepted = try property(unit, bus, "Socket", "NAccepted")?.unsigned else { return }
        page.add(
            page.counter(
                "node_systemd_socket_accepted_connections_total", "Total number of accepted socket connections"),
            "name", unit.name, Double(accepted))
        guard let current = try property(unit, bus, "Socket", "NConnections")?.unsigned else { return }
        page.add(
            page.gauge("node_systemd_socket_current_connections", "Current number of socket connections"), "name",
            unit.name, Double(current))
        guard let refused = try property(unit, bus, "Socket", "NRefused")?.unsigned else { return }
        page.add(
            page.gauge(
                "node_systemd_socket_refused_connections_total", "Total number of refused socket connections"),
            "name", unit.name, Double(refused))
    }
}

/// `logind`: sessions of users, asked over the system's message bus.
final class LogindCollector: NodeCollector {
    private struct Session: Hashable {
        var seat: String
        var remote: String
        var type: String
        var kind: String
    }

    private static let service = "org.freedesktop.login1"
    private static let root = "/org/freedesktop/login1"
    private static let types: [String] = ["other", "unspecified", "tty", "x11", "wayland", "mir", "web"]
    private static let kinds: [String] = ["other", "user", "greeter", "lock-screen", "background"]

    private let socket: String

    init(_ settings: UnixSettings) { socket = settings.systemBus }

    func collect(_ scrape: NodeScrape) throws {
        let bus = try DBusConnection(socket)
        func rows(_ method: String) throws -> [[DBusValue]] {
            let answer = try bus.call(Self.service, Self.root, Self.service + ".Manager", method)
            return (answer.first?.list ?? []).compactMap(\.list)
        }
        // Sessions from other machines have no seat.
        let seats = try rows("ListSeats").compactMap { $0.first?.string } + [""]
        var counts: [Session: Int] = [:]
        for row in try rows("ListSessions") {
            guard row.count == 5, let seat = row[3].string, let path = row[4].string,
                let session = session(bus, path, seat: seat)
            else { continue }
            counts[session, default: 0] += 1
        }
        let family = scrape.page.gauge("node_logind_sessions", "Number of sessions registered in logind.")
        for remote in ["true", "false"] {
            for type in Self.types {
                for kind in Self.kinds {
                    for seat in seats {
                        let count = counts[Session(seat: seat, remote: remote, type: type, kind: kind)] ?? 0
                        scrape.page.add(
                            family, labels: [("class", kind), ("remote", remote), ("seat", seat), ("type", type)],
                            Double(count))
                    }
                }
            }
        }
    }

    /// Nil when it has ended meanwhile.
    private func session(_ bus: DBusConnection, _ path: String, seat: String) -> Session? {
        func property(_ name: String) -> DBusValue? {
            try? bus.property(Self.service, path, Self.service + ".Session", name)
        }
        guard let remote = property("Remote")?.bool, let type = property("Type")?.string,
            let kind = property("Class")?.string
        else { return nil }
        return Session(
            seat: seat, remote: "\(remote)", type: Self.types.contains(type) ? type : "other",
            kind: Self.kinds.contains(kind) ? kind : "other")
    }
}
