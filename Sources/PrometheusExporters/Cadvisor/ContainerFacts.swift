import Essentials
import TextFormats

/// What a runtime knows about a container.
struct ContainerFacts: Sendable, Equatable {
    var id = ""
    /// The name the runtime shows; the ID where it has none.
    var name = ""
    var image = ""
    var labels: [(name: String, value: String)] = []
    /// Environment variables of the allowlist.
    var environment: [(name: String, value: String)] = []
    /// The first process, 0 when it is not known.
    var processID = 0
    /// Seconds since 1970; nil when the runtime does not say.
    var createdAt: Int64?
    var startedAt: Int64?
    /// Whether the network namespace is the container's own, so that its traffic counts once.
    var ownsNetwork = false
    /// The container's IP address, empty when it has none of its own.
    var address = ""
    /// 1 healthy, 0 not, -1 without a check.
    var health = -1
    /// Directories whose content the container wrote.
    var writtenPaths: [String] = []

    static func == (left: ContainerFacts, right: ContainerFacts) -> Bool {
        left.id == right.id && left.name == right.name && left.image == right.image
            && left.processID == right.processID && left.health == right.health
            && left.labels.elementsEqual(right.labels, by: ==)
    }
}

/// Reads what the runtimes answer.
enum RuntimeAnswers {
    /// Seconds since 1970 of a time as Go prints it; nil for times before.
    static func seconds(_ text: String?) -> Int64? {
        guard let text, let time = try? GoTimeLayout("RFC3339Nano").parse(text), time.unixSeconds > 0 else {
            return nil
        }
        return time.unixSeconds
    }

    static func labels(_ value: JSONValue?) -> [(name: String, value: String)] {
        (value?.objectValue.map { Array($0) } ?? []).map { ($0.key, $0.value.stringValue ?? "") }
    }

    /// Variables whose name begins as one of `prefixes` says. Docker's become lower case, as upstream.
    static func environment(
        _ list: [JSONValue], prefixes: [String], lowercased: Bool
    ) -> [(name: String, value: String)] {
        guard !prefixes.isEmpty else { return [] }
        var variables: [(name: String, value: String)] = []
        for entry in list {
            guard let text = entry.stringValue, let equals = text.firstIndex(of: "=") else { continue }
            let name = String(text[..<equals])
            guard prefixes.contains(where: { !$0.isEmpty && name.hasPrefix($0) }) else { continue }
            variables.append((lowercased ? name.lowercased() : name, String(text[text.index(after: equals)...])))
        }
        return variables
    }

    // MARK: Docker

    /// A row of `/containers/json`: ID and health, which is part of the status text.
    static func dockerList(_ bytes: [UInt8]) throws -> [(id: String, health: Int)] {
        try JSONValue(parsing: bytes).arrayValue.map { rows in
            rows.compactMap { row in
                guard let id = row["Id"]?.stringValue else { return nil }
                let status = row["Status"]?.stringValue ?? ""
                let health =
                    status.hasSuffix("(healthy)")
                    ? 1 : status.hasSuffix("(unhealthy)") || status.contains("(health: ") ? 0 : -1
                return (id, health)
            }
        } ?? []
    }

    /// The answer of `/containers/<id>/json`.
    static func dockerContainer(_ bytes: [UInt8], allowedEnvironment: [String]) throws -> ContainerFacts {
        let value = try JSONValue(parsing: bytes)
        var facts = ContainerFacts()
        facts.id = value["Id"]?.stringValue ?? ""
        let name = value["Name"]?.stringValue ?? ""
        facts.name = name.hasPrefix("/") ? String(name.dropFirst()) : name
        let config = value["Config"]
        facts.image = config?["Image"]?.stringValue ?? ""
        facts.labels = labels(config?["Labels"])
        facts.environment = environment(
            config?["Env"]?.arrayValue ?? [], prefixes: allowedEnvironment, lowercased: true)
        facts.processID = Int(value["State"]?["Pid"]?.intValue ?? 0)
        facts.createdAt = seconds(value["Created"]?.stringValue)
        facts.startedAt = seconds(value["State"]?["StartedAt"]?.stringValue)
        let mode = value["HostConfig"]?["NetworkMode"]?.stringValue ?? ""
        facts.ownsNetwork = !mode.hasPrefix("container:")
        let networks = value["NetworkSettings"]?["Networks"]?.objectValue.map { Array($0) } ?? []
        let addresses =
            [value["NetworkSettings"]?["IPAddress"]]
            + networks.sorted { $0.key < $1.key }.map { $0.value["IPAddress"] }
        facts.address = addresses.lazy.compactMap { $0?.stringValue }.first { !$0.isEmpty } ?? ""
        if let restarts = value["RestartCount"]?.intValue, restarts > 0 {
            facts.labels.removeAll { $0.name == "restartcount" }
            facts.labels.append(("restartcount", String(restarts)))
        }
        if let upper = value["GraphDriver"]?["Data"]?["UpperDir"]?.stringValue { facts.writtenPaths.append(upper) }
        if let log = value["LogPath"]?.stringValue, let slash = log.lastIndex(of: "/"), slash > log.startIndex {
            facts.writtenPaths.append(String(log[..<slash]))
        }
        return facts
    }

    // MARK: CRI-O

    /// The answer of `/containers/<id>`.
    static func crioContainer(_ bytes: [UInt8], id: String) throws -> ContainerFacts {
        let value = try JSONValue(parsing: bytes)
        var facts = ContainerFacts()
        facts.id = id
        facts.name = value["name"]?.stringValue ?? id
        facts.image = value["image"]?.stringValue ?? ""
        facts.processID = Int(value["pid"]?.intValue ?? 0)
        facts.labels = labels(value["labels"])
        if let text = value["annotations"]?["io.kubernetes.container.restartCount"]?.stringValue,
            let restarts = Int(text), restarts > 0
        {
            facts.labels.removeAll { $0.name == "restartcount" }
            facts.labels.append(("restartcount", String(restarts)))
        }
        facts.ownsNetwork = facts.labels.contains { $0.name == "io.kubernetes.container.name" && $0.value == "POD" }
        if var root = value["root"]?.stringValue, root.hasSuffix("/merged") {
            root.removeLast(7)
            facts.writtenPaths.append(root + "/diff")
        }
        if let log = value["log_path"]?.stringValue, !log.isEmpty { facts.writtenPaths.append(log) }
        return facts
    }
}
