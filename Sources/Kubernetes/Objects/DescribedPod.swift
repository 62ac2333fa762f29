package import TextFormats

/// A pod as the origin of telemetry: what its name, owner, place and containers are (core/v1).
package struct DescribedPod: KubernetesObject {
    package static let resource = KubernetesResource(plural: "pods")

    /// A container with its latest run.
    package struct Container: Sendable, Equatable {
        package var name = ""
        package var image = ""
        /// The runtime's identifier without its scheme; empty until the container was started.
        package var id = ""
        /// The image that runs, as the runtime names it.
        package var imageID = ""
        package var restartCount = 0
    }

    package var metadata = ObjectMetadata()
    package var nodeName = ""
    package var hostname = ""
    package var isOnHostNetwork = false
    package var podIP = ""
    /// When the node took the pod: the digits of the time as the server writes it, in UTC; 0 before that.
    package var started: Int64 = 0
    /// The containers in order, then the init containers.
    package var containers: [Container] = []

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        var initContainers: [Container] = []
        var runs: [Container] = []
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try ObjectMetadata(&cursor, &texts)
            case "spec":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    switch member {
                    case "nodeName": nodeName = try cursor.text(&texts)
                    case "hostname": hostname = try cursor.string() ?? ""
                    case "hostNetwork": isOnHostNetwork = try cursor.bool() ?? false
                    case "containers": containers = try Self.containers(&cursor, &texts)
                    case "initContainers": initContainers = try Self.containers(&cursor, &texts)
                    default: break
                    }
                }
            case "status":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    switch member {
                    case "podIP": podIP = try cursor.string() ?? ""
                    case "startTime": started = Self.digits(of: try cursor.string() ?? "")
                    case "containerStatuses", "initContainerStatuses":
                        runs += try Self.containers(&cursor, &texts)
                    default: break
                    }
                }
            default: break
            }
        }
        containers += initContainers
        for index in containers.indices {
            guard let run = runs.first(where: { $0.name == containers[index].name }) else { continue }
            containers[index].id = run.id
            containers[index].imageID = run.imageID
            containers[index].restartCount = run.restartCount
        }
    }

    private static func digits(of time: String) -> Int64 {
        time.utf8.prefix(19).reduce(0) { $1 >= 48 && $1 <= 57 ? $0 &* 10 &+ Int64($1 - 48) : $0 }
    }

    /// Containers of a specification, or of a status; each has some of the members.
    private static func containers(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) -> [Container] {
        var result: [Container] = []
        guard try cursor.enterArray() else { return result }
        while try cursor.nextElement() {
            guard try cursor.enterObject() else { continue }
            var container = Container()
            while let member = try cursor.nextMember() {
                switch member {
                case "name": container.name = try cursor.text(&texts)
                case "image": container.image = try cursor.text(&texts)
                case "imageID": container.imageID = try cursor.text(&texts)
                case "restartCount": container.restartCount = try cursor.integer() ?? 0
                case "containerID":
                    let id = try cursor.string() ?? ""
                    container.id = id.firstRange(of: "://").map { String(id[$0.upperBound...]) } ?? id
                default: break
                }
            }
            result.append(container)
        }
        return result
    }
}
