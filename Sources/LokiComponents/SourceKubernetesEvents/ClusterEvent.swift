import Kubernetes
import TextFormats

/// An event as the cluster reports it (core/v1, `Event`).
struct ClusterEvent: KubernetesObject {
    static let resource = KubernetesResource(plural: "events")

    struct Involved: Sendable, Equatable {
        var kind = ""
        var namespace = ""
        var name = ""
        var apiVersion = ""
        var version = ""
    }

    var metadata = ObjectMetadata()
    var involved = Involved()
    var action = ""
    var reportingInstance = ""
    var reportingController = ""
    var sourceComponent = ""
    var sourceHost = ""
    var reason = ""
    var type = ""
    var count = 0
    var message = ""
    /// RFC 3339; the last time it happened, or when it did.
    var lastTimestamp = ""
    var eventTime = ""

    init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try Self.metadata(&cursor)
            case "involvedObject": involved = try Self.involved(&cursor)
            case "action": action = try cursor.string() ?? ""
            case "reportingInstance": reportingInstance = try cursor.string() ?? ""
            case "reportingComponent": reportingController = try cursor.string() ?? ""
            case "source":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    switch member {
                    case "component": sourceComponent = try cursor.string() ?? ""
                    case "host": sourceHost = try cursor.string() ?? ""
                    default: break
                    }
                }
            case "reason": reason = try cursor.string() ?? ""
            case "type": type = try cursor.string() ?? ""
            case "count": count = try cursor.integer() ?? 0
            case "message": message = try cursor.string() ?? ""
            case "lastTimestamp": lastTimestamp = try cursor.string() ?? ""
            case "eventTime": eventTime = try cursor.string() ?? ""
            default: break
            }
        }
    }

    private static func metadata(_ cursor: inout JSONCursor) throws(TextFormatError) -> ObjectMetadata {
        var metadata = ObjectMetadata()
        guard try cursor.enterObject() else { return metadata }
        while let member = try cursor.nextMember() {
            switch member {
            case "name": metadata.key.name = try cursor.string() ?? ""
            case "namespace": metadata.key.namespace = try cursor.string() ?? ""
            case "uid": metadata.uid = try cursor.string() ?? ""
            case "resourceVersion": metadata.version = try cursor.string() ?? ""
            default: break
            }
        }
        return metadata
    }

    private static func involved(_ cursor: inout JSONCursor) throws(TextFormatError) -> Involved {
        var involved = Involved()
        guard try cursor.enterObject() else { return involved }
        while let member = try cursor.nextMember() {
            switch member {
            case "kind": involved.kind = try cursor.string() ?? ""
            case "namespace": involved.namespace = try cursor.string() ?? ""
            case "name": involved.name = try cursor.string() ?? ""
            case "apiVersion": involved.apiVersion = try cursor.string() ?? ""
            case "resourceVersion": involved.version = try cursor.string() ?? ""
            default: break
            }
        }
        return involved
    }

    /// Nanoseconds since 1970; nil when the event has no usable time.
    var time: Int64? {
        let text = lastTimestamp.isEmpty ? eventTime : lastTimestamp
        return Array(text.utf8).withUnsafeBytes { parseRFC3339($0) }
    }

    // MARK: Lines

    enum Format: String, CaseIterable, Sendable {
        case logfmt, json
    }

    /// The fields that are not empty, in upstream's order, without the message.
    private var fields: [(name: String, value: String)] {
        let all: [(name: String, value: String)] = [
            ("name", involved.name), ("kind", involved.kind), ("action", action),
            ("objectAPIversion", involved.apiVersion), ("objectRV", involved.version), ("eventRV", metadata.version),
            ("reportinginstance", reportingInstance), ("reportingcontroller", reportingController),
            ("sourcecomponent", sourceComponent), ("sourcehost", sourceHost), ("reason", reason), ("type", type),
        ]
        return all.filter { !$0.value.isEmpty }
    }

    /// The line of the event; as upstream's, the text form ends in a space.
    func line(_ format: Format) -> String {
        switch format {
        case .logfmt:
            var line = ""
            for (name, value) in fields { line += "\(name)=\(value) " }
            if count != 0 { line += "count=\(count) " }
            return line + "msg=\(GoQuote.quote(message)) "
        case .json:
            var object = JSONObject()
            for (name, value) in fields { object[name] = .string(value) }
            if count != 0 { object["count"] = .int(count) }
            object["msg"] = .string(message)
            return JSONWriter(sortsKeys: true).text(.object(object))
        }
    }
}
