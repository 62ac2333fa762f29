import TextFormats
import Wire

/// Reads a line as container runtimes write it: Docker's JSON, or `time stream tag text` of the CRI.
///
/// Sources: the `json-file` driver of Docker; the log format of the Kubernetes CRI; names of attributes as the collector's
/// `container` operator has them.
struct ContainerParser: Sendable {
    enum Format: String, Sendable { case docker, crio, containerd }

    private let format: Format?
    private let addsMetadata: Bool
    private let from: StanzaField
    /// Where what is neither the log nor its time is put.
    private let to: StanzaField
    private let follow: StanzaParser

    private static let layout = GoTimeLayout(verbatim: "2006-01-02T15:04:05.999999999Z07:00")
    private static let path = StanzaField.attribute("log.file.path")

    init(_ reader: inout OperatorReader) {
        let name = reader.string("format") ?? ""
        format = Format(rawValue: name)
        if !name.isEmpty, format == nil { reader.reject("'format' must be one of docker, crio, containerd") }
        addsMetadata = reader.bool("add_metadata_from_filepath", default: true)
        from = reader.field("parse_from", default: .body)
        to = reader.field("parse_to", default: .attributes)
        if to.root == .body {
            reader.reject("'parse_to' cannot be in the body, which becomes the log: use attributes or resource")
        }
        follow = StanzaParser(&reader) { (value, _) in value }
    }

    /// Parses the entry; true when it may be a part of a log that goes on in the next.
    func apply(_ entry: inout StanzaEntry) throws(StanzaError) -> Bool {
        let text = try from.string(entry)
        let isCRI: Bool
        if text.first == UInt8(ascii: "{"), format == nil || format == .docker {
            try docker(text, &entry)
            isCRI = false
        } else if format == .docker {
            throw StanzaError("line is no JSON of docker")
        } else {
            try cri(text, &entry)
            isCRI = true
        }
        if addsMetadata { try addMetadata(&entry) }
        try follow.follow(&entry)
        return isCRI
    }

    private func docker(_ text: [UInt8], _ entry: inout StanzaEntry) throws(StanzaError) {
        let object: JSONObject
        do throws(TextFormatError) {
            guard case .object(let found) = try JSONValue(parsing: text, maximumDepth: 100) else {
                throw TextFormatError("JSON is no object")
            }
            object = found
        } catch {
            throw StanzaError("\(error)")
        }
        guard let time = object["time"]?.stringValue, let stream = object["stream"]?.stringValue,
            let log = object["log"]?.stringValue
        else { throw StanzaError("line lacks one of log, stream and time") }
        entry.timestamp = try Self.time(Array(time.utf8))
        for member in object where !["log", "stream", "time"].contains(member.key) {
            try put(member.key, OTLPAnyValue(member.value, keepsIntegers: false), &entry)
        }
        entry.body = .string(log)
        try put("log.iostream", .string(stream), &entry)
    }

    private func cri(_ text: [UInt8], _ entry: inout StanzaEntry) throws(StanzaError) {
        let parts = text.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[1].elementsEqual("stdout".utf8) || parts[1].elementsEqual("stderr".utf8) else {
            throw StanzaError("entry cannot be parsed as container logs")
        }
        entry.timestamp = try Self.time(Array(parts[0]))
        try put("logtag", .text(Array(parts[2])), &entry)
        try put("log.iostream", .text(Array(parts[1])), &entry)
        entry.body = .text(parts.count > 3 ? Array(parts[3]) : [])
    }

    /// Whether the log of a part ends with it.
    var tag: StanzaField { to.child(Array("logtag".utf8)) }

    private func put(_ name: String, _ value: OTLPAnyValue, _ entry: inout StanzaEntry) throws(StanzaError) {
        if to == .attributes {
            entry.attributes[name] = value
        } else {
            try to.child(Array(name.utf8)).set(value, in: &entry)
        }
    }

    private static func time(_ text: [UInt8]) throws(StanzaError) -> Int64 {
        do throws(TextFormatError) {
            let time = try text.withRawBytes { (raw) throws(TextFormatError) in try layout.parse(raw) }
            guard let nanoseconds = time.unixNanoseconds else { throw TextFormatError("time out of range") }
            return nanoseconds
        } catch {
            throw StanzaError("failed to parse time: \(error)")
        }
    }

    /// `.../NAMESPACE_POD_UID/CONTAINER/RESTARTS.log`.
    private func addMetadata(_ entry: inout StanzaEntry) throws(StanzaError) {
        guard case .string(let bytes)? = Self.path.get(entry) else {
            throw StanzaError("attributes.log.file.path is missing: set include_file_path")
        }
        let parts = bytes.split { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
        let invalid = StanzaError("failed to detect a valid log path")
        guard parts.count >= 3, let file = parts.last else { throw invalid }
        let container = parts[parts.count - 2]
        let pod = parts[parts.count - 3].split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
        let restarts = file.dropLast(4)
        guard file.suffix(4).elementsEqual(".log".utf8), !restarts.isEmpty,
            restarts.allSatisfy({ (0x30...0x39).contains($0) }), pod.count == 3, pod.allSatisfy({ !$0.isEmpty }),
            pod[2].allSatisfy({
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0) || $0 == UInt8(ascii: "-")
            }), !container.contains(UInt8(ascii: ".")), !container.contains(UInt8(ascii: "_"))
        else { throw invalid }
        for (name, value) in [
            ("k8s.namespace.name", pod[0]), ("k8s.pod.name", pod[1]), ("k8s.pod.uid", pod[2]),
            ("k8s.container.name", container), ("k8s.container.restart_count", restarts),
        ] {
            entry.resource[name] = .text(Array(value))
        }
    }
}
