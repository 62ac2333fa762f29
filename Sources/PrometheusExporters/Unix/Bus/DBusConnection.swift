import Essentials
import Glibc

/// A connection to the system's message bus, for calls one after another. Blocks; one owner.
///
/// Source of the protocol: D-Bus Specification 0.43, "Authentication Protocol" and "Message Protocol".
final class DBusConnection {
    private static let maximumMessage = 32 << 20

    private let descriptor: Int32
    private var serial: UInt32 = 0

    /// The socket of the machine's bus: `DBUS_SYSTEM_BUS_ADDRESS`, or where it usually is.
    static var systemSocket: String {
        let usual = "/var/run/dbus/system_bus_socket"
        guard let value = getenv("DBUS_SYSTEM_BUS_ADDRESS") else { return usual }
        for address in String(cString: value).split(separator: ";") where address.hasPrefix("unix:") {
            for part in address.dropFirst(5).split(separator: ",") where part.hasPrefix("path=") {
                return String(part.dropFirst(5))
            }
        }
        return usual
    }

    /// Connects, says who we are and registers with the bus.
    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("socket", path) }
        do {
            try connect(to: path)
            try authenticate()
            _ = try call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    private func connect(to path: String) throws {
        var timeout = timeval(tv_sec: 5, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw DBusError("\(path) is too long for a socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw SystemError("connect", path) }
    }

    private func authenticate() throws {
        let identity = String(geteuid()).utf8.map { String($0, radix: 16) }.joined()
        try write([0] + Array("AUTH EXTERNAL \(identity)\r\n".utf8))
        var line: [UInt8] = []
        while line.last != 10 {
            guard line.count < 512 else { throw DBusError("the bus does not answer as one") }
            line += try read(1)
        }
        guard line.starts(with: "OK ".utf8) else { throw DBusError("the bus does not let this user in") }
        try write(Array("BEGIN\r\n".utf8))
    }

    // MARK: Calls

    /// The values a method returns. Its arguments are texts.
    func call(
        _ destination: String, _ path: String, _ interface: String, _ member: String, _ arguments: [String] = []
    ) throws -> [DBusValue] {
        serial += 1
        try write(message(destination, path, interface, member, arguments))
        while true {
            // Signals may come in between.
            if let values = try reply(to: serial) { return values }
        }
    }

    /// A property of an object.
    func property(_ destination: String, _ path: String, _ interface: String, _ name: String) throws -> DBusValue {
        let values = try call(destination, path, "org.freedesktop.DBus.Properties", "Get", [interface, name])
        guard let value = values.first else { throw DBusError("\(name) has no value") }
        return value
    }

    private func message(
        _ destination: String, _ path: String, _ interface: String, _ member: String, _ arguments: [String]
    ) -> [UInt8] {
        var body: [UInt8] = []
        for argument in arguments { Self.append(argument, to: &body) }
        var fields: [UInt8] = []
        for (code, type, text) in [(1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination)] {
            Self.pad(&fields, 8)
            fields += [UInt8(code), 1, type.utf8.first ?? 0, 0]
            Self.append(text, to: &fields)
        }
        if !arguments.isEmpty {
            Self.pad(&fields, 8)
            fields += [8, 1, UInt8(ascii: "g"), 0, UInt8(arguments.count)]
            fields += Array(repeating: UInt8(ascii: "s"), count: arguments.count) + [0]
        }
        var message: [UInt8] = [UInt8(ascii: "l"), 1, 0, 1]
        for number in [UInt32(body.count), serial, UInt32(fields.count)] {
            withUnsafeBytes(of: number.littleEndian) { message += $0 }
        }
        message += fields
        Self.pad(&message, 8)
        return message + body
    }

    private static func pad(_ bytes: inout [UInt8], _ boundary: Int) {
        while bytes.count % boundary != 0 { bytes.append(0) }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        pad(&bytes, 4)
        withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { bytes += $0 }
        bytes += Array(text.utf8) + [0]
    }

    /// Reads a message; nil when it is something else than the reply to `serial`.
    private func reply(to serial: UInt32) throws -> [DBusValue]? {
        let head = try read(16)
        guard head[0] == UInt8(ascii: "l"), head[3] == 1 else { throw DBusError("the bus does not answer as one") }
        func number(_ offset: Int) -> Int {
            head.withUnsafeBytes {
                Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            }
        }
        let fieldBytes = (number(12) + 7) & ~7
        guard fieldBytes <= Self.maximumMessage, number(4) <= Self.maximumMessage else {
            throw DBusError("a message is too long")
        }
        let fields = try read(fieldBytes)
        let body = try read(number(4))
        let message = try DBusMessage(head: head, fields: fields.prefix(number(12)), body: body)
        guard message.isReply, message.answered == UInt64(serial) else { return nil }
        if message.isError { throw DBusError("\(message.errorName): \(message.values.first?.string ?? "")") }
        return message.values
    }

    // MARK: Bytes

    private func write(_ bytes: [UInt8]) throws {
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SystemError("send", "bus") }
            offset += count
        }
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var offset = 0
        while offset < count {
            let got = bytes.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress?.advanced(by: offset), count - offset, 0)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else {
                if got == 0 { throw DBusError("the bus closed the connection") }
                throw SystemError("recv", "bus")
            }
            offset += got
        }
        return bytes
    }
}
