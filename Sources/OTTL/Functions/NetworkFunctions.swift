import Glibc
import TextFormats
import Wire

extension Functions {
    /// Functions of addresses.
    static let networkConverters: [Converter] = [
        Converter("UserAgent", [.text("user_agent")], .map) { arguments in
            let header = arguments.value(0)
            return { frame in
                let text = try header.evaluate(frame).requireText(arguments.what(0))
                var map = UserAgent(text).map
                map["user_agent.original"] = .string(text)
                return .ownMap(map)
            }
        },
        Converter("IsInCIDR", [.text("target"), Parameter("networks", .strings)], .bool) { arguments in
            let target = arguments.value(0)
            let networks = try (arguments.strings(1) ?? []).map { text in
                guard let network = Network(text) else {
                    throw arguments.error(1, "\"\(text)\" is no network such as 10.0.0.0/8")
                }
                return network
            }
            return { frame in
                let text = try target.evaluate(frame).requireString(arguments.what(0))
                guard let address = Network.address(text) else {
                    throw OTTLError("IsInCIDR: \"\(text)\" is no IP address")
                }
                return .bool(networks.contains { $0.contains(address) })
            }
        },
        Converter(
            "CommunityID",
            [
                .text("source_ip"), .int("source_port"), .text("destination_ip"), .int("destination_port"),
                Parameter.text("protocol").optional, Parameter.int("seed").optional,
            ], .string
        ) { arguments in
            let values = (0..<6).map { arguments.value($0) }
            let hasSeed = arguments.isPresent(5)
            let hasProtocol = arguments.isPresent(4)
            return { frame in
                func number(_ index: Int) throws -> UInt16 {
                    let value = try values[index].evaluate(frame).requireInt(arguments.what(index))
                    guard let number = UInt16(exactly: value) else {
                        throw OTTLError("\(arguments.what(index)): must be 0 to 65535")
                    }
                    return number
                }
                func address(_ index: Int) throws -> [UInt8] {
                    let text = try values[index].evaluate(frame).requireString(arguments.what(index))
                    guard let address = Network.address(text) else {
                        throw OTTLError("\(arguments.what(index)): \"\(text)\" is no IP address")
                    }
                    return address
                }
                let name = hasProtocol ? try values[4].evaluate(frame).requireString(arguments.what(4)) : "TCP"
                let numbers: [String: UInt8] = [
                    "ICMP": 1, "TCP": 6, "UDP": 17, "RSVP": 46, "ICMP6": 58, "SCTP": 132,
                ]
                guard let transport = numbers[name] else { throw OTTLError("CommunityID: unknown protocol \(name)") }
                var (source, target) = ((try address(0), try number(1)), (try address(2), try number(3)))
                // Both directions of a flow have one ID: the smaller endpoint comes first.
                let isSwapped =
                    source.0 == target.0 ? source.1 > target.1 : target.0.lexicographicallyPrecedes(source.0)
                if isSwapped { swap(&source, &target) }
                let seed = hasSeed ? try number(5) : 0
                func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
                let bytes = big(seed) + source.0 + target.0 + [transport, 0] + big(source.1) + big(target.1)
                return .string("1:" + Base64.encode(SHA1.digest(bytes)))
            }
        },
        Converter("URL", [.text("url_string")], .map) { arguments in
            let target = arguments.value(0)
            return { frame in
                .ownMap(try URLParts.map(try target.evaluate(frame).requireString(arguments.what(0))))
            }
        },
    ]
}

/// A range of IP addresses.
struct Network: Sendable {
    private let bytes: [UInt8]
    private let length: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let bytes = Self.address(String(parts[0])), let length = Int(parts[1]), length >= 0,
            length <= bytes.count * 8
        else { return nil }
        self.bytes = bytes
        self.length = length
    }

    func contains(_ address: [UInt8]) -> Bool {
        guard address.count == bytes.count else { return false }
        let whole = length / 8
        guard address[..<whole] == bytes[..<whole] else { return false }
        let rest = length % 8
        return rest == 0 || (address[whole] ^ bytes[whole]) >> (8 - rest) == 0
    }

    /// The 4 or 16 bytes of an address; an IPv4 address written as IPv6 has 4.
    static func address(_ text: String) -> [UInt8]? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: &six) { Array($0) }
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]
        return bytes.starts(with: mapped) ? Array(bytes[12...]) : bytes
    }
}

/// The parts of a URL under the names of the semantic conventions.
enum URLParts {
    static func map(_ text: String) throws -> OTLPAnyValue.Map {
        var map = OTLPAnyValue.Map()
        map["url.original"] = .string(text)
        var rest = text[...]
        guard let mark = rest.firstRange(of: "://") else { throw OTTLError("URL: \"\(text)\" has no scheme") }
        let scheme = rest[..<mark.lowerBound]
        guard let first = scheme.first, first.isASCII, first.isLetter,
            scheme.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) })
        else { throw OTTLError("URL: \"\(text)\" has no scheme") }
        map["url.scheme"] = .string(scheme.lowercased())
        rest = rest[mark.upperBound...]
        if let place = rest.firstIndex(of: "#") {
            let fragment = rest[rest.index(after: place)...]
            if !fragment.isEmpty { map["url.fragment"] = .string(String(fragment)) }
            rest = rest[..<place]
        }
        if let place = rest.firstIndex(of: "?") {
            let query = rest[rest.index(after: place)...]
            if !query.isEmpty { map["url.query"] = .string(String(query)) }
            rest = rest[..<place]
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let path = rest[slash...]
        var authority = rest[..<slash]
        map["url.path"] = .string(String(path))
        let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        if let dot = name.lastIndex(of: "."), name.index(after: dot) < name.endIndex {
            map["url.extension"] = .string(String(name[name.index(after: dot)...]))
        }
        if let place = authority.lastIndex(of: "@") {
            let user = authority[..<place]
            if !user.isEmpty {
                map["url.user_info"] = .string(String(user))
                let parts = user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                map["url.username"] = .string(String(parts[0]))
                if parts.count == 2 { map["url.password"] = .string(String(parts[1])) }
            }
            authority = authority[authority.index(after: place)...]
        }
        if let place = authority.lastIndex(of: ":"), authority[place...].firstIndex(of: "]") == nil {
            let port = authority[authority.index(after: place)...]
            if !port.isEmpty {
                guard let number = UInt16(port) else { throw OTTLError("URL: invalid port \"\(port)\"") }
                map["url.port"] = .int(Int64(number))
            }
            authority = authority[..<place]
        }
        if authority.hasPrefix("["), authority.hasSuffix("]") { authority = authority.dropFirst().dropLast() }
        map["url.domain"] = .string(String(authority))
        return map
    }
}
