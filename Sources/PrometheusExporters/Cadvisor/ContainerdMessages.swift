import TextFormats
import Wire

/// The two answers of containerd that matter, read by hand.
///
/// Protocol: containerd `api/services/containers/v1/containers.proto`, `api/services/tasks/v1/tasks.proto` and
/// `api/types/task/task.proto`.
enum ContainerdMessages {
    static let listContainers = "/containerd.services.containers.v1.Containers/List"
    static let listTasks = "/containerd.services.tasks.v1.Tasks/List"

    /// More containers than a machine can have.
    private static let maximumContainers = 20_000

    private static func text(_ reader: inout ProtobufReader, _ tag: ProtobufTag) throws -> String {
        String(decoding: try reader.bytes(tag), as: UTF8.self)
    }

    /// `ListContainersResponse`: containers in field 1.
    static func containers(_ bytes: [UInt8], allowedEnvironment: [String]) throws -> [ContainerFacts] {
        var containers: [ContainerFacts] = []
        try bytes.withUnsafeBytes { buffer in
            var reader = ProtobufReader(buffer)
            while let tag = try reader.nextTag() {
                guard tag.field == 1 else {
                    try reader.skip(tag)
                    continue
                }
                guard containers.count < maximumContainers else { throw ProtobufError.tooMany("containers") }
                containers.append(try container(try reader.bytes(tag), allowedEnvironment))
            }
        }
        return containers
    }

    private static func container(_ bytes: UnsafeRawBufferPointer, _ allowed: [String]) throws -> ContainerFacts {
        var facts = ContainerFacts()
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: facts.id = try text(&reader, tag)
            case 2: facts.labels.append(try pair(try reader.bytes(tag)))
            case 3: facts.image = try text(&reader, tag)
            case 5:
                let specification = try reader.bytes(tag)
                if !allowed.isEmpty { facts.environment = try environment(specification, allowed) }
            case 8: facts.createdAt = try seconds(try reader.bytes(tag))
            default: try reader.skip(tag)
            }
        }
        facts.name = facts.id
        // Containers of a pod share the network of its sandbox.
        facts.ownsNetwork = facts.labels.contains { $0.name == "io.cri-containerd.kind" && $0.value == "sandbox" }
        return facts
    }

    /// An entry of a map from string to string.
    private static func pair(_ bytes: UnsafeRawBufferPointer) throws -> (name: String, value: String) {
        var pair = (name: "", value: "")
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: pair.name = try text(&reader, tag)
            case 2: pair.value = try text(&reader, tag)
            default: try reader.skip(tag)
            }
        }
        return pair
    }

    /// `google.protobuf.Timestamp`: seconds in field 1; nil before 1970.
    private static func seconds(_ bytes: UnsafeRawBufferPointer) throws -> Int64? {
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            if tag.field == 1 {
                let seconds = try reader.int64(tag)
                return seconds > 0 ? seconds : nil
            }
            try reader.skip(tag)
        }
        return nil
    }

    /// `google.protobuf.Any` with the OCI runtime specification as JSON in field 2.
    private static func environment(
        _ bytes: UnsafeRawBufferPointer, _ allowed: [String]
    ) throws -> [(name: String, value: String)] {
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            guard tag.field == 2 else {
                try reader.skip(tag)
                continue
            }
            guard let value = try? JSONValue(parsing: Array(try reader.bytes(tag))) else { return [] }
            return RuntimeAnswers.environment(
                value["process"]?["env"]?.arrayValue ?? [], prefixes: allowed, lowercased: false)
        }
        return []
    }

    /// `ListTasksResponse`: processes in field 1, each with its container's ID and process ID.
    static func processIDs(_ bytes: [UInt8]) throws -> [String: Int] {
        var processes: [String: Int] = [:]
        try bytes.withUnsafeBytes { buffer in
            var reader = ProtobufReader(buffer)
            while let tag = try reader.nextTag() {
                guard tag.field == 1 else {
                    try reader.skip(tag)
                    continue
                }
                guard processes.count < maximumContainers else { throw ProtobufError.tooMany("tasks") }
                var task = ProtobufReader(try reader.bytes(tag))
                var id = ""
                var processID = 0
                while let inner = try task.nextTag() {
                    switch inner.field {
                    case 2: id = try text(&task, inner)
                    case 3: processID = Int(try task.uint32(inner))
                    default: try task.skip(inner)
                    }
                }
                processes[id] = processID
            }
        }
        return processes
    }
}
