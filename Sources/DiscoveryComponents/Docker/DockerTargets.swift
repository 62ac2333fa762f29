import Telemetry
import TextFormats

/// Makes targets of what the Docker Engine API lists.
///
/// Labels and addresses agree with prometheus/prometheus `discovery/moby`.
struct DockerTargets {
    private static let prefix = "__meta_docker_"

    /// Port of targets whose container has none.
    var port: Int
    /// Address of containers that have the machine's network.
    var hostNetworkingHost: String
    /// Whether a container with several networks is one target set, in the first network by name.
    var matchesFirstNetwork: Bool

    /// `containers` and `networks` are the answers of `/containers/json` and `/networks`.
    func targets(containers: JSONValue, networks: JSONValue) -> [LabelSet] {
        let known = networkLabels(networks)
        let rows = containers.arrayValue ?? []
        var byID: [String: JSONValue] = [:]
        for row in rows { if let id = row["Id"]?.stringValue { byID[id] = row } }
        var targets: [LabelSet] = []
        for row in rows { add(row, byID, known, to: &targets) }
        return targets
    }

    private func networkLabels(_ networks: JSONValue) -> [String: [(String, String)]] {
        var labels: [String: [(String, String)]] = [:]
        for network in networks.arrayValue ?? [] {
            guard let id = network["Id"]?.stringValue else { continue }
            let prefix = Self.prefix + "network_"
            var own: [(String, String)] = [
                (prefix + "id", id), (prefix + "name", network["Name"]?.stringValue ?? ""),
                (prefix + "scope", network["Scope"]?.stringValue ?? ""),
                (prefix + "internal", network["Internal"]?.boolValue == true ? "true" : "false"),
                (prefix + "ingress", network["Ingress"]?.boolValue == true ? "true" : "false"),
            ]
            own += Self.labels(network["Labels"], prefix + "label_")
            labels[id] = own
        }
        return labels
    }

    /// Labels of an object, their names with what no label name may have as underscores.
    private static func labels(_ value: JSONValue?, _ prefix: String) -> [(String, String)] {
        guard let object = value?.objectValue else { return [] }
        return object.map { (prefix + sanitized($0.key), $0.value.stringValue ?? "") }
    }

    static func sanitized(_ name: String) -> String {
        String(
            decoding: name.unicodeScalars.map { scalar -> UInt8 in
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9", "_": UInt8(scalar.value)
                default: UInt8(ascii: "_")
                }
            }, as: UTF8.self)
    }

    private func add(
        _ container: JSONValue, _ byID: [String: JSONValue], _ known: [String: [(String, String)]],
        to targets: inout [LabelSet]
    ) {
        guard let name = container["Names"]?[0]?.stringValue else { return }
        let mode = container["HostConfig"]?["NetworkMode"]?.stringValue ?? ""
        let prefix = Self.prefix + "container_"
        var common: [(String, String)] = [
            (prefix + "id", container["Id"]?.stringValue ?? ""), (prefix + "name", name),
            (prefix + "network_mode", mode),
        ]
        for (field, label) in [("Image", "image"), ("ImageID", "image_id")] {
            if let text = container[field]?.stringValue, !text.isEmpty { common.append((prefix + label, text)) }
        }
        common += Self.labels(container["Labels"], prefix + "label_")

        let ports = (container["Ports"]?.arrayValue ?? []).filter { $0["Type"]?.stringValue == "tcp" }
        for network in networks(of: container, mode, byID) {
            let address =
                [network["IPAddress"], network["GlobalIPv6Address"]].lazy
                .compactMap { $0?.stringValue }.first { !$0.isEmpty } ?? ""
            var labels = common
            labels.append((Self.prefix + "network_ip", address))
            labels += known[network["NetworkID"]?.stringValue ?? ""] ?? []
            if ports.isEmpty {
                let place = mode == "host" ? hostNetworkingHost : Self.joined(address, Int64(port))
                targets.append(LabelSet(labels + [("__address__", place)]))
            }
            for port in ports {
                let number = port["PrivatePort"]?.intValue ?? 0
                var own = labels
                own.append((Self.prefix + "port_private", String(number)))
                if let shown = port["PublicPort"]?.intValue, shown > 0 {
                    own.append((Self.prefix + "port_public", String(shown)))
                    own.append((Self.prefix + "port_public_ip", port["IP"]?.stringValue ?? ""))
                }
                own.append(("__address__", Self.joined(address, number)))
                targets.append(LabelSet(own))
            }
        }
    }

    private static func joined(_ host: String, _ port: Int64) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// The networks of a container, or of the one whose network it shares, sorted by name.
    private func networks(of container: JSONValue, _ mode: String, _ byID: [String: JSONValue]) -> [JSONValue] {
        func own(_ container: JSONValue) -> [(key: String, value: JSONValue)] {
            (container["NetworkSettings"]?["Networks"]?.objectValue.map { Array($0) } ?? [])
        }
        var found = own(container)
        var mode = mode
        // Containers that share with each other in a circle end at the first one seen twice.
        var seen: Set<String> = []
        while found.isEmpty, mode.hasPrefix("container:") {
            let id = String(mode.dropFirst(10))
            guard seen.insert(id).inserted, let other = byID[id] else { break }
            found = own(other)
            mode = other["HostConfig"]?["NetworkMode"]?.stringValue ?? ""
        }
        let sorted = found.filter { $0.value != .null }.sorted { $0.key < $1.key }.map(\.value)
        return matchesFirstNetwork ? Array(sorted.prefix(1)) : sorted
    }
}
