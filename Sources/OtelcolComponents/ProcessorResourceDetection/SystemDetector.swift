import AlloySyntax
import Essentials
import Glibc
import TextFormats
import Wire

/// The machine itself: its names, addresses, processor and operating system.
struct SystemDetector: ResourceDetector {
    static let name = "system"
    static let doc = "The machine the program runs on."
    static let attributes = [
        DetectableAttribute("host.arch", isOn: false), DetectableAttribute("host.cpu.cache.l2.size", isOn: false),
        DetectableAttribute("host.cpu.family", isOn: false), DetectableAttribute("host.cpu.model.id", isOn: false),
        DetectableAttribute("host.cpu.model.name", isOn: false), DetectableAttribute("host.cpu.stepping", isOn: false),
        DetectableAttribute("host.cpu.vendor.id", isOn: false), DetectableAttribute("host.id", isOn: false),
        DetectableAttribute("host.interface", isOn: false), DetectableAttribute("host.ip", isOn: false),
        DetectableAttribute("host.mac", isOn: false), DetectableAttribute("host.name"),
        DetectableAttribute("os.build.id", isOn: false), DetectableAttribute("os.description", isOn: false),
        DetectableAttribute("os.name", isOn: false), DetectableAttribute("os.type"),
        DetectableAttribute("os.version", isOn: false),
    ]
    private static let sources = ["dns", "os", "cname", "lookup"]

    private let hostnameSources: [String]

    init(from block: inout BlockReader) {
        hostnameSources = block.optional(
            "hostname_sources", default: ["dns", "os"], "Where the host's name is looked for, in order.")
        for source in hostnameSources where !Self.sources.contains(source) {
            block.reject("hostname_sources", "has \"\(source)\"; there are \(Self.sources.joined(separator: ", "))")
        }
    }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        var resource = DetectedResource()
        let system = SystemName()
        resource.set("host.name", try await hostName(probe, system.node))
        resource.set("os.type", "linux")
        resource.set("host.arch", system.architecture)
        resource.set("host.id", try await machineID(probe))
        let interfaces = NetworkInterface.all()
        let near = interfaces.filter { $0.isUp && !$0.isLoopback }
        resource.set("host.interface", interfaces.map(\.name))
        resource.set("host.ip", near.flatMap(\.addresses))
        resource.set("host.mac", near.compactMap(\.hardwareAddress))
        let release = try await OSRelease(probe)
        resource.set("os.name", release["ID"])
        resource.set("os.version", release["VERSION_ID"])
        resource.set("os.build.id", release["BUILD_ID"] ?? system.release)
        resource.set("os.description", release.description(of: system))
        try await addProcessor(probe, to: &resource)
        return resource
    }

    // MARK: Names

    private func hostName(_ probe: HostProbe, _ node: String) async throws(DetectionError) -> String {
        let sources = hostnameSources.isEmpty ? ["dns", "os"] : hostnameSources
        for source in sources {
            let name: String?
            switch source {
            case "dns":
                if let known = try await nameInHosts(probe, node) { return known }
                name = await look(probe) { HostName.canonical(of: node) ?? HostName.reverse(of: node) }
            case "cname": name = await look(probe) { HostName.canonical(of: node) }
            case "lookup": name = await look(probe) { HostName.reverse(of: node) }
            default: name = node
            }
            if let name, !name.isEmpty { return name }
        }
        throw .failed("the host's name is not known to \(sources.joined(separator: ", "))")
    }

    private func look(_ probe: HostProbe, _ body: @escaping @Sendable () -> String?) async -> String? {
        try? await probe.blocking.run { body() }
    }

    /// The first name of the line of the hosts file that has `node`.
    private func nameInHosts(_ probe: HostProbe, _ node: String) async throws(DetectionError) -> String? {
        for line in try await probe.file("/etc/hosts")?.split(whereSeparator: \.isNewline) ?? [] {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).dropFirst()
            if words.contains(where: { $0 == node }), let first = words.first { return String(first) }
        }
        return nil
    }

    private func machineID(_ probe: HostProbe) async throws(DetectionError) -> String? {
        for path in ["/etc/machine-id", "/var/lib/dbus/machine-id"] {
            let text = try await probe.file(path)?.split(whereSeparator: \.isWhitespace).first
            if let text { return String(text) }
        }
        return nil
    }

    // MARK: Processor

    private func addProcessor(_ probe: HostProbe, to resource: inout DetectedResource) async throws(DetectionError) {
        var fields: [String: String] = [:]
        for line in try await probe.file("/proc/cpuinfo")?.split(whereSeparator: \.isNewline) ?? [] {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let key = line[..<colon].split(whereSeparator: \.isWhitespace).joined(separator: " ")
            // The second processor begins.
            if key == "processor", fields["processor"] != nil { break }
            let value = line[line.index(after: colon)...].split(whereSeparator: \.isWhitespace).joined(separator: " ")
            if fields[key] == nil { fields[key] = value }
        }
        resource.set("host.cpu.vendor.id", fields["vendor_id"])
        resource.set("host.cpu.family", fields["cpu family"])
        resource.set("host.cpu.model.id", fields["model"])
        resource.set("host.cpu.model.name", fields["model name"])
        resource.set("host.cpu.stepping", fields["stepping"])
        if let size = fields["cache size"]?.split(separator: " ").first.flatMap({ Int64($0) }) {
            resource.set("host.cpu.cache.l2.size", .int(size))
        }
    }
}

/// What the kernel says of itself.
struct SystemName: Sendable {
    let node: String
    let release: String
    /// `uname -a`, less what GNU adds to it.
    let description: String
    /// The architecture by the word of the semantic conventions.
    let architecture: String

    init() {
        var name = utsname()
        uname(&name)
        node = Self.text(name.nodename)
        release = Self.text(name.release)
        let machine = Self.text(name.machine)
        description = [Self.text(name.sysname), node, release, Self.text(name.version), machine].joined(separator: " ")
        architecture = ["x86_64": "amd64", "aarch64": "arm64", "i686": "x86", "ppc64le": "ppc64"][machine] ?? machine
    }

    private static func text<Tuple>(_ field: Tuple) -> String {
        withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

/// The file `os-release`, as os-release(5) has it.
struct OSRelease: Sendable {
    private var fields: [String: String] = [:]

    init(_ probe: HostProbe) async throws(DetectionError) {
        var text = try await probe.file("/etc/os-release")
        if text == nil { text = try await probe.file("/usr/lib/os-release") }
        for line in text?.split(whereSeparator: \.isNewline) ?? [] {
            guard !line.hasPrefix("#"), let equals = line.firstIndex(of: "=") else { continue }
            var value = line[line.index(after: equals)...]
            if let quote = value.first, quote == "\"" || quote == "'", value.count > 1, value.last == quote {
                value = value.dropFirst().dropLast()
            }
            fields[String(line[..<equals])] = String(value)
        }
    }

    subscript(name: String) -> String? { fields[name].flatMap { $0.isEmpty ? nil : $0 } }

    func description(of system: SystemName) -> String {
        let name = self["PRETTY_NAME"] ?? [self["NAME"], self["VERSION"]].compactMap { $0 }.joined(separator: " ")
        return name.isEmpty ? system.description : "\(name) (\(system.description))"
    }
}

/// Looks up names; blocks.
private enum HostName {
    static func canonical(of name: String) -> String? {
        with(name, AI_CANONNAME) { entry in entry.ai_canonname.map { trimmed(String(cString: $0)) } }
    }

    static func reverse(of name: String) -> String? {
        with(name, 0) { entry in
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let code = getnameinfo(
                entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NAMEREQD)
            guard code == 0 else { return nil }
            return trimmed(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
    }

    private static func with(_ name: String, _ flags: CInt, _ body: (addrinfo) -> String?) -> String? {
        var hints = addrinfo()
        hints.ai_flags = flags
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else { return nil }
        defer { freeaddrinfo(list) }
        var next = list
        while let entry = next {
            if let found = body(entry.pointee) { return found }
            next = entry.pointee.ai_next
        }
        return nil
    }

    private static func trimmed(_ name: String) -> String { name.hasSuffix(".") ? String(name.dropLast()) : name }
}

/// An interface of the machine's network, with its addresses.
private struct NetworkInterface {
    var name: String
    var isUp: Bool
    var isLoopback: Bool
    var addresses: [String] = []
    /// Octets in upper case with hyphens, as IEEE writes them; nil when there are none.
    var hardwareAddress: String?

    static func all() -> [NetworkInterface] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var interfaces: [NetworkInterface] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ifa_next
            guard let cName = entry.pointee.ifa_name else { continue }
            let name = String(cString: cName)
            let index =
                interfaces.firstIndex { $0.name == name }
                ?? {
                    let flags = entry.pointee.ifa_flags
                    interfaces.append(
                        NetworkInterface(
                            name: name, isUp: flags & UInt32(IFF_UP) != 0,
                            isLoopback: flags & UInt32(IFF_LOOPBACK) != 0))
                    return interfaces.count - 1
                }()
            guard let address = entry.pointee.ifa_addr else { continue }
            interfaces[index].add(address)
        }
        return interfaces
    }

    private mutating func add(_ address: UnsafeMutablePointer<sockaddr>) {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            let bytes = withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in.self).sin_addr) { Array($0) }
            if bytes[0] != 127 { addText(AF_INET, bytes) }
        case AF_INET6:
            let bytes = withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { Array($0) }
            if bytes != [UInt8](repeating: 0, count: 15) + [1] { addText(AF_INET6, bytes) }
        case AF_PACKET:
            // sockaddr_ll: the length at 11, the address from 12 on.
            let count = Int(raw.load(fromByteOffset: 11, as: UInt8.self))
            guard count > 0, count <= 8 else { return }
            let octets = (0..<count).map { raw.load(fromByteOffset: 12 + $0, as: UInt8.self) }
            hardwareAddress = octets.map { Hex.encode([$0]).uppercased() }.joined(separator: "-")
        default: break
        }
    }

    private mutating func addText(_ family: CInt, _ bytes: [UInt8]) {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard bytes.withUnsafeBytes({ inet_ntop(family, $0.baseAddress, &text, socklen_t(text.count)) }) != nil else {
            return
        }
        addresses.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
}
