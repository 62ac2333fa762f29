package import TextFormats

/// A pod, as far as targets and logs need it (core/v1).
package struct Pod: KubernetesObject {
    package static let resource = KubernetesResource(plural: "pods")

    package struct Port: Sendable, Hashable {
        package var name = ""
        package var number = 0
        package var transport = ""
    }

    package struct Container: Sendable, Equatable {
        package var name = ""
        package var image = ""
        /// The runtime's identifier with its scheme; empty until the container was started.
        package var id = ""
        package var isInit = false
        package var ports: [Port] = []
    }

    package var metadata = ObjectMetadata()
    package var nodeName = ""
    package var phase = ""
    package var podIP = ""
    package var hostIP = ""
    /// Status of the condition `Ready` in lower case; `unknown` without one.
    package var ready = "unknown"
    /// The containers in order, then the init containers.
    package var containers: [Container] = []

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        var initContainers: [Container] = []
        var identifiers: [Identifier] = []
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try ObjectMetadata(&cursor, &texts)
            case "spec":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    switch member {
                    case "nodeName": nodeName = try cursor.text(&texts)
                    case "containers": containers = try Self.containers(&cursor, &texts, isInit: false)
                    case "initContainers": initContainers = try Self.containers(&cursor, &texts, isInit: true)
                    default: break
                    }
                }
            case "status":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    switch member {
                    case "phase": phase = try cursor.text(&texts)
                    case "podIP": podIP = try cursor.string() ?? ""
                    case "hostIP": hostIP = try cursor.text(&texts)
                    case "conditions": try readConditions(&cursor, &texts)
                    case "containerStatuses": try Self.read(&identifiers, isInit: false, &cursor)
                    case "initContainerStatuses": try Self.read(&identifiers, isInit: true, &cursor)
                    default: break
                    }
                }
            default: break
            }
        }
        containers += initContainers
        for index in containers.indices {
            let container = containers[index]
            containers[index].id =
                identifiers.first { $0.name == container.name && $0.isInit == container.isInit }?.id ?? ""
        }
    }

    private struct Identifier {
        var name = ""
        var id = ""
        var isInit: Bool
    }

    private static func containers(
        _ cursor: inout JSONCursor, _ texts: inout TextTable, isInit: Bool
    ) throws(TextFormatError) -> [Container] {
        var result: [Container] = []
        guard try cursor.enterArray() else { return result }
        while try cursor.nextElement() {
            guard try cursor.enterObject() else { continue }
            var container = Container()
            container.isInit = isInit
            while let member = try cursor.nextMember() {
                switch member {
                case "name": container.name = try cursor.text(&texts)
                case "image": container.image = try cursor.text(&texts)
                case "ports":
                    guard try cursor.enterArray() else { continue }
                    while try cursor.nextElement() { container.ports.append(try Self.port(&cursor, &texts)) }
                    container.ports = texts.ports.shared(container.ports)
                default: break
                }
            }
            result.append(container)
        }
        return result
    }

    private static func port(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) -> Port {
        var port = Port()
        guard try cursor.enterObject() else { return port }
        while let member = try cursor.nextMember() {
            switch member {
            case "name": port.name = try cursor.text(&texts)
            case "containerPort": port.number = try cursor.integer() ?? 0
            case "protocol": port.transport = try cursor.text(&texts)
            default: break
            }
        }
        return port
    }

    private mutating func readConditions(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) {
        guard try cursor.enterArray() else { return }
        while try cursor.nextElement() {
            guard let condition = try Condition(&cursor, &texts) else { continue }
            if condition.type == "Ready" { ready = condition.status.lowercased() }
        }
    }

    private static func read(
        _ identifiers: inout [Identifier], isInit: Bool, _ cursor: inout JSONCursor
    ) throws(TextFormatError) {
        guard try cursor.enterArray() else { return }
        while try cursor.nextElement() {
            guard try cursor.enterObject() else { continue }
            var identifier = Identifier(isInit: isInit)
            while let member = try cursor.nextMember() {
                switch member {
                case "name": identifier.name = try cursor.string() ?? ""
                case "containerID": identifier.id = try cursor.string() ?? ""
                default: break
                }
            }
            identifiers.append(identifier)
        }
    }
}

/// One condition of a status.
struct Condition: Equatable, Sendable {
    var type = ""
    var status = ""

    init?(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return nil }
        while let member = try cursor.nextMember() {
            switch member {
            case "type": type = try cursor.text(&texts)
            case "status": status = try cursor.text(&texts)
            default: break
            }
        }
    }
}
