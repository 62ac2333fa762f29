import AlloySyntax
import ComponentKit
import TextFormats
import Transport
import Wire

/// `OTEL_RESOURCE_ATTRIBUTES`, as the OpenTelemetry specification has it, or `OTEL_RESOURCE`, its older name.
struct EnvironmentDetector: ResourceDetector {
    static let name = "env"
    static let doc = "The attributes of the environment variable OTEL_RESOURCE_ATTRIBUTES."
    static let attributes: [DetectableAttribute] = []

    init() {}
    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        var resource = DetectedResource()
        resource.schemaURL = ""
        let text = Self.trimmed(probe.environment("OTEL_RESOURCE_ATTRIBUTES") ?? "")
        let list = text.isEmpty ? Self.trimmed(probe.environment("OTEL_RESOURCE") ?? "") : text
        if list.isEmpty { return resource }
        var parts = list.split(separator: ",", omittingEmptySubsequences: false)
        if parts.count > 1, parts.last?.allSatisfy(\.isWhitespace) == true { parts.removeLast() }
        for part in parts {
            guard let equals = part.firstIndex(of: "=") else {
                throw .failed("OTEL_RESOURCE_ATTRIBUTES: \"\(part)\" is not key=value")
            }
            let key = Self.trimmed(part[..<equals])
            let value = Self.trimmed(part[part.index(after: equals)...])
            guard (1...256).contains(key.utf8.count), value.utf8.count <= 256, part.utf8.allSatisfy({ $0 < 0x80 })
            else {
                throw .failed("OTEL_RESOURCE_ATTRIBUTES: \"\(part)\" is not ASCII, or too long")
            }
            resource.set(key, .string(Percent.decode(value, plusIsSpace: true)))
        }
        return resource
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        guard let start = text.firstIndex(where: { !$0.isWhitespace }),
            let end = text.lastIndex(where: { !$0.isWhitespace })
        else { return "" }
        return String(text[start...end])
    }
}

/// The Docker daemon of this machine.
struct DockerDetector: ResourceDetector {
    static let name = "docker"
    static let doc = "The host and system that the Docker daemon at DOCKER_HOST tells about."
    static let attributes = DetectableAttribute.on("host.name", "os.type")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let address = probe.environment("DOCKER_HOST") ?? "unix:///var/run/docker.sock"
        guard let request = DockerEndpoint(address)?.request("/info") else {
            throw .failed("DOCKER_HOST \"\(address)\" is no address of a Docker daemon")
        }
        let info = try HostProbe.parse(try await probe.answer(to: request), from: "/info of \(address)")
        var resource = DetectedResource()
        resource.set("host.name", info["Name"]?.stringValue)
        resource.set("os.type", info["OSType"]?.stringValue?.lowercased())
        return resource
    }
}

/// The file that Dynatrace's OneAgent leaves about the host.
struct DynatraceDetector: ResourceDetector {
    static let name = "dynatrace"
    static let doc = "The host as Dynatrace's OneAgent knows it, from a file it writes."
    static let attributes: [DetectableAttribute] = []
    private static let path = "/var/lib/dynatrace/enrichment/dt_host_metadata.properties"
    private static let names = ["dt.entity.host", "host.name", "dt.smartscape.host"]

    init() {}
    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        var resource = DetectedResource()
        resource.schemaURL = ""
        for line in try await probe.file(Self.path)?.split(whereSeparator: \.isNewline) ?? [] {
            guard let equals = line.firstIndex(of: "=") else { continue }
            let key = String(line[..<equals])
            if Self.names.contains(key) { resource.set(key, String(line[line.index(after: equals)...])) }
        }
        return resource
    }
}

/// A dyno of Heroku, by its environment variables.
///
/// Source: the Heroku Dev Center, "Heroku Labs: Dyno Metadata".
struct HerokuDetector: ResourceDetector {
    static let name = "heroku"
    static let doc = "The application on Heroku, when its dyno metadata is active."
    static let attributes = DetectableAttribute.on(
        "cloud.provider", "heroku.app.id", "heroku.dyno.id", "heroku.release.commit",
        "heroku.release.creation_timestamp", "service.instance.id", "service.name", "service.version")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let dyno = probe.environment("HEROKU_DYNO_ID")
        let app = probe.environment("HEROKU_APP_ID")
        if dyno == nil, app == nil { throw .absent("neither HEROKU_DYNO_ID nor HEROKU_APP_ID is set") }
        var resource = DetectedResource()
        resource.set("cloud.provider", "heroku")
        resource.set("heroku.app.id", app)
        resource.set("heroku.dyno.id", dyno)
        resource.set("service.instance.id", dyno)
        resource.set("service.name", probe.environment("HEROKU_APP_NAME"))
        resource.set("heroku.release.creation_timestamp", probe.environment("HEROKU_RELEASE_CREATED_AT"))
        resource.set("service.version", probe.environment("HEROKU_RELEASE_VERSION"))
        resource.set("heroku.release.commit", probe.environment("HEROKU_SLUG_COMMIT"))
        return resource
    }
}
