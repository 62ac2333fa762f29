import Essentials
import Glibc
import SelfMetrics
import Transport

/// `supervisord`: processes that supervisord runs, asked over its XML-RPC interface.
final class SupervisordCollector: NodeCollector {
    private static let maximumAnswer = 16 << 20

    private let url: String

    init(_ settings: UnixSettings) { url = settings.supervisordURL }

    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let answer = try ask()
        for process in try XMLRPCAnswer.structures(answer) {
            let name = process["name"] ?? ""
            let group = process["group"] ?? ""
            func number(_ key: String) -> Double { Double(process[key] ?? "") ?? 0 }
            let state = number("state")
            // Starting, running and stopping.
            let isUp = state == 10 || state == 20 || state == 40
            func add(_ family: MetricPage.Family, _ value: Double) {
                page.add(family, "group", group, "name", name, value)
            }
            add(page.gauge("node_supervisord_state", "Process State"), state)
            add(page.gauge("node_supervisord_exit_status", "Process Exit Status"), number("exitstatus"))
            add(page.gauge("node_supervisord_up", "Process Up"), isUp ? 1 : 0)
            if isUp {
                add(page.counter("node_supervisord_start_time_seconds", "Process start time"), number("start"))
            }
        }
    }

    /// Whether an address can be asked: `http://` with a host, or `unix://` with a path.
    static func isUsable(_ url: String) -> Bool {
        if url.hasPrefix("unix://") { return url.dropFirst(7).hasPrefix("/") }
        guard let parsed = HTTPURL(url) else { return false }
        return parsed.scheme == "http" && !parsed.host.isEmpty
    }

    // MARK: HTTP

    private func ask() throws -> [UInt8] {
        let socket: String? = url.hasPrefix("unix://") ? String(url.dropFirst(7)) : nil
        guard let target = HTTPURL(socket == nil ? url : "http://unix/RPC2") else {
            throw MalformedFile(path: url, reason: "not an address")
        }
        let descriptor = try socket.map { try connect(toSocket: $0) } ?? connect(to: target)
        defer { close(descriptor) }
        let body = "<?xml version='1.0'?><methodCall><methodName>supervisor.getAllProcessInfo</methodName></methodCall>"
        var head = "POST \(target.path.isEmpty ? "/" : target.path) HTTP/1.0\r\nHost: \(target.host)\r\n"
        if let user = target.user {
            head += "Authorization: Basic \(Base64.encode(Array("\(user):\(target.password ?? "")".utf8)))\r\n"
        }
        head += "Content-Type: text/xml\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        let request = Array((head + body).utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw SystemError("send", url)
        }
        let answer = try read(descriptor)
        guard let end = Self.find(Array("\r\n\r\n".utf8), in: answer) else {
            throw MalformedFile(path: url, reason: "not an answer of HTTP")
        }
        let status = String(decoding: answer.prefix(16), as: UTF8.self).split(separator: " ")
        guard status.count > 1, status[0].hasPrefix("HTTP/"), status[1] == "200" else {
            throw MalformedFile(path: url, reason: "refused: \(status.dropFirst().first ?? "")")
        }
        return Array(answer[(end + 4)...])
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= needle.count else { return nil }
        return (0...(bytes.count - needle.count)).first { bytes[$0...].starts(with: needle) }
    }

    private func read(_ descriptor: Int32) throws -> [UInt8] {
        var answer: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(descriptor, &room, room.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("recv", url) }
            if count == 0 { return answer }
            answer += room[..<count]
            guard answer.count <= Self.maximumAnswer else { throw MalformedFile(path: url, reason: "too long") }
        }
    }

    private func limited(_ descriptor: Int32) throws -> Int32 {
        guard descriptor >= 0 else { throw SystemError("socket", url) }
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        return descriptor
    }

    private func connect(toSocket path: String) throws -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = try limited(socket(AF_UNIX, type, 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let isShort = bytes.count < MemoryLayout.size(ofValue: address.sun_path)
        if isShort { withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) } }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard isShort, result == 0 else {
            defer { close(descriptor) }
            throw SystemError("connect", path)
        }
        return descriptor
    }

    private func connect(to target: HTTPURL) throws -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(target.host, "\(target.port)", &hints, &list) == 0 else {
            throw MalformedFile(path: url, reason: "no address of \(target.host)")
        }
        defer { freeaddrinfo(list) }
        var next = list
        while let entry = next?.pointee {
            let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            let descriptor = try limited(socket(entry.ai_family, type, 0))
            if Glibc.connect(descriptor, entry.ai_addr, entry.ai_addrlen) == 0 { return descriptor }
            close(descriptor)
            next = entry.ai_next
        }
        throw SystemError("connect", url)
    }
}

/// Reads an answer of XML-RPC that is a list of flat structures (xmlrpc.com/spec.md).
enum XMLRPCAnswer {
    /// The members of each structure as texts, in order. Throws when the answer is a fault or no answer.
    static func structures(_ bytes: [UInt8]) throws -> [[String: String]] {
        var structures: [[String: String]] = []
        var current: [String: String]?
        var name = ""
        var text = ""
        var isComplete = false
        var rest = bytes[...]
        while let open = rest.firstIndex(of: UInt8(ascii: "<")) {
            text += decoded(rest[..<open])
            guard let close = rest[open...].firstIndex(of: UInt8(ascii: ">")) else { break }
            let tag = String(decoding: rest[(open + 1)..<close], as: UTF8.self)
            rest = rest[(close + 1)...]
            switch tag {
            case "fault": throw MalformedFile(path: "supervisord", reason: "answers with a fault")
            case "struct": current = [:]
            case "/struct":
                if let current { structures.append(current) }
                current = nil
            case "name", "value": text = ""
            case "/name": name = text
            case "/value":
                if !name.isEmpty { current?[name] = text }
                name = ""
            case "/methodResponse": isComplete = true
            default:
                // Tags of types begin the text anew, so that spaces around them do not count.
                if !tag.hasPrefix("/") { text = "" }
            }
            if structures.count > 100_000 { throw MalformedFile(path: "supervisord", reason: "too long") }
        }
        guard isComplete else { throw MalformedFile(path: "supervisord", reason: "not an answer of XML-RPC") }
        return structures
    }

    private static func decoded(_ bytes: ArraySlice<UInt8>) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.utf8.contains(UInt8(ascii: "&")) else { return text }
        var result = ""
        var rest = text[...]
        while let mark = rest.firstIndex(of: "&") {
            result += rest[..<mark]
            rest = rest[mark...].dropFirst()
            guard let end = rest.prefix(12).firstIndex(of: ";") else {
                result += "&"
                continue
            }
            let name = rest[..<end]
            let known = ["lt": "<", "gt": ">", "amp": "&", "quot": "\"", "apos": "'"]
            if let replacement = known[String(name)] {
                result += replacement
            } else if name.hasPrefix("#"), let code = UInt32(name.dropFirst()), let scalar = Unicode.Scalar(code) {
                result.unicodeScalars.append(scalar)
            } else {
                result += "&\(name);"
            }
            rest = rest[end...].dropFirst()
        }
        return result + rest
    }
}
