import PrometheusExporters

/// Readers of what the kernel and other processes of the host answer.
enum HostTargets {
    static let all: [FuzzTarget] = [busValues, busMessage, netlink, containerd]

    /// The input begins with the length of the signature and the signature.
    private static let busValues = FuzzTarget(
        name: "dbus-values",
        seeds: [
            [1] + bytes("s") + [1, 0, 0, 0, 0x61, 0],
            [2] + bytes("as") + [6, 0, 0, 0, 1, 0, 0, 0, 0x61, 0],
            [12] + bytes("a(ssssssouso)") + [0, 0, 0, 0, 0, 0, 0, 0],
            [5] + bytes("a{sv}") + [16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x61, 0, 1, 0x75, 0, 0, 0, 0, 5, 0, 0, 0],
            [1] + bytes("v") + [1, 0x76, 0, 1, 0x79, 0, 7],
            [9] + bytes("ybnqiuxtd") + [UInt8](repeating: 1, count: 64),
        ],
        dictionary: ["aaaa", "a{sv}", "((((", "))))", "v", "a(yv)", "\u{1}v\u{0}", "\u{2}ay\u{0}"]
    ) { input in
        guard let length = input.first else { return 0 }
        let signature = String(decoding: input.dropFirst().prefix(Int(length)), as: UTF8.self)
        let count = try UntrustedReaders.busValues(signature, Array(input.dropFirst(1 + Int(length))))
        // A value takes a byte at least, but for what the signature itself nests.
        try require(count <= input.count * 2 + 64, "\(count) values in \(input.count) bytes")
        return magnitude(count)
    }

    private static let busMessage = FuzzTarget(
        name: "dbus-message",
        seeds: [
            [0x6C, 2, 1, 1, 8, 0, 0, 0, 1, 0, 0, 0, 15, 0, 0, 0, 5, 1, 0x75, 0, 1, 0, 0, 0]
                + [8, 1, 0x67, 0, 1, 0x73, 0, 0, 3, 0, 0, 0, 0x61, 0x62, 0x63, 0],
            [0x6C, 3, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 5, 1, 0x75, 0, 1, 0, 0, 0],
            [0x6C, 4, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        ],
        dictionary: ["\u{8}\u{1}g\u{0}", "\u{5}\u{1}u\u{0}", "\u{4}\u{1}s\u{0}", "a{sv}", "a(ssssssouso)"]
    ) { input in
        magnitude(try UntrustedReaders.busMessage(input))
    }

    private static let netlink = FuzzTarget(
        name: "netlink",
        seeds: [
            // A route by a gateway, with two hops.
            [60, 0, 0, 0, 24, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]
                + [8, 0, 5, 0, 10, 0, 0, 1, 24, 0, 9, 0, 8, 0, 0, 0, 1, 0, 0, 0, 16, 0, 0, 1, 1, 0, 0, 0]
                + [8, 0, 5, 0],
            // A queueing discipline.
            [56, 0, 0, 0, 36, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF]
                + [0xFF, 0, 0, 0, 0, 7, 0, 1, 0, 0x66, 0x71, 0, 0, 12, 0, 7, 0, 8, 0, 3, 0, 0, 0, 0, 0],
            // A wireless device, a station, the end.
            [40, 0, 0, 0, 28, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 8, 0, 3, 0, 1, 0, 0, 0, 10, 0, 4, 0, 0x77]
                + [0x6C, 0x61, 0x6E, 0x30, 0, 0, 0],
            [36, 0, 0, 0, 28, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 19, 1, 0, 0, 10, 0, 6, 0, 1, 2, 3, 4, 5, 6, 0, 0, 4, 0]
                + [21, 0],
            [20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            // An error with a number that has no positive.
            [20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80],
        ]
    ) { input in
        let count = try UntrustedReaders.netlink(input)
        try require(count <= input.count, "\(count) things in \(input.count) bytes")
        return magnitude(count)
    }

    private static let containerd = FuzzTarget(
        name: "containerd",
        seeds: [
            field(
                0x0A,
                [0x0A, 1, 0x61, 0x12, 6, 0x0A, 1, 0x6B, 0x12, 1, 0x76, 0x1A, 1, 0x69, 0x42, 2, 8, 5]
                    + field(0x2A, field(0x12, bytes(#"{"process":{"env":["A=1","B"]}}"#)))),
            field(0x0A, [0x12, 1, 0x61, 0x18, 7]),
        ]
    ) { input in
        magnitude(try UntrustedReaders.containerd(input))
    }

    private static func field(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] { [tag, UInt8(content.count)] + content }
}
