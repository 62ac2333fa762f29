import Essentials
import Glibc

/// Asks the kernel for lists over netlink sockets (netlink(7)).
enum Netlink {
    static let route: Int32 = 0
    static let socketDiagnosis: Int32 = 4

    /// Sends a request to list things of a kind and hands out the body of each answer, valid until the call returns.
    static func dump(_ family: Int32, type: UInt16, _ request: [UInt8], _ body: (Bytes) throws -> Void) throws {
        let descriptor = socket(16, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), family)
        guard descriptor >= 0 else { throw SystemError("socket", "netlink") }
        defer { close(descriptor) }
        var timeout = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))

        // Length, type, request and dump, a number, and no port: the kernel chooses.
        var message: [UInt8] = []
        withUnsafeBytes(of: UInt32(16 + request.count)) { message += $0 }
        withUnsafeBytes(of: type) { message += $0 }
        withUnsafeBytes(of: UInt16(0x301)) { message += $0 }
        withUnsafeBytes(of: UInt64(1)) { message += $0 }
        message += request
        guard send(descriptor, message, message.count, 0) == message.count else { throw SystemError("send", "netlink") }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 8)
        defer { room.deallocate() }
        while true {
            let count = recv(descriptor, room.baseAddress, room.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SystemError("recv", "netlink") }
            if try !read(Bytes(rebasing: room[..<count]), body) { return }
        }
    }

    /// Hands out the messages of one answer; false after the last of all.
    static func read(_ bytes: Bytes, _ body: (Bytes) throws -> Void) throws -> Bool {
        var rest = bytes
        while rest.count >= 16 {
            let length = Int(rest.loadUnaligned(as: UInt32.self))
            guard length >= 16, length <= rest.count else { throw MalformedFile(path: "netlink") }
            switch rest.loadUnaligned(fromByteOffset: 4, as: UInt16.self) {
            case 2:
                guard length >= 20 else { throw MalformedFile(path: "netlink") }
                let code = 0 &- rest.loadUnaligned(fromByteOffset: 16, as: Int32.self)
                if code == 0 { return false }
                errno = code
                throw SystemError("dump", "netlink")
            case 3: return false
            case 1: break
            default: try body(rest.part(16..<length))
            }
            rest = rest.part(min((length + 3) & ~3, rest.count)..<rest.count)
        }
        return true
    }

    /// Calls `body` with the number and content of each attribute.
    static func attributes(_ bytes: Bytes, _ body: (UInt16, Bytes) -> Void) {
        var rest = bytes
        while rest.count >= 4 {
            let length = Int(rest.loadUnaligned(as: UInt16.self))
            guard length >= 4, length <= rest.count else { return }
            body(rest.loadUnaligned(fromByteOffset: 2, as: UInt16.self) & 0x3FFF, rest.part(4..<length))
            rest = rest.part(min((length + 3) & ~3, rest.count)..<rest.count)
        }
    }

    /// The name of a device; empty when it is gone.
    static func deviceName(_ index: UInt32) -> String {
        var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        guard if_indextoname(index, &name) != nil else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
