/// The readers of bytes from other processes and the kernel, for those who try them on any bytes. Each returns the number
/// of things it read.
package enum UntrustedReaders {
    /// Values a signature describes in a message of D-Bus.
    package static func busValues(_ signature: String, _ bytes: [UInt8]) throws -> Int {
        try bytes.withUnsafeBytes { bytes in
            var reader = DBusReader(bytes)
            return try reader.values(signature).reduce(0) { $0 + size(of: $1) }
        }
    }

    /// A message of D-Bus: sixteen bytes of head, fields of the length the head says, the body.
    package static func busMessage(_ bytes: [UInt8]) throws -> Int {
        guard bytes.count >= 16 else { throw DBusError("a message ends early") }
        let length = bytes[12..<16].reversed().reduce(0) { $0 << 8 | Int($1) }
        let end = 16 + (length + 7) & ~7
        guard end <= bytes.count else { throw DBusError("a message ends early") }
        let message = try DBusMessage(
            head: Array(bytes[..<16]), fields: bytes[16..<(16 + length)], body: Array(bytes[end...]))
        return message.values.reduce(message.isReply ? 1 : 0) { $0 + size(of: $1) }
    }

    private static func size(of value: DBusValue) -> Int {
        guard case .list(let members) = value else { return 1 }
        return members.reduce(1) { $0 + size(of: $1) }
    }

    /// Messages of netlink, each as every kind there is a reader of.
    package static func netlink(_ bytes: [UInt8]) throws -> Int {
        var count = 0
        try bytes.withUnsafeBytes { bytes in
            _ = try Netlink.read(bytes) { message in
                if QueueDisciplineCollector.read(message) != nil { count += 1 }
                count += NetworkRouteCollector.Route(message)?.hops.count ?? 0
                if WiFiInterface(message) != nil { count += 1 }
                if WiFiCell(message) != nil { count += 1 }
                if WiFiStation(message) != nil { count += 1 }
            }
        }
        return count
    }

    /// Answers of containerd: its containers with their variables, and its tasks.
    package static func containerd(_ bytes: [UInt8]) throws -> Int {
        let tasks = try? ContainerdMessages.processIDs(bytes)
        return try ContainerdMessages.containers(bytes, allowedEnvironment: ["A"]).count + (tasks?.count ?? 0)
    }
}
