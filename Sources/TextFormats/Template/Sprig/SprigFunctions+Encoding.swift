import Glibc

extension SprigFunctions {
    static let encodings: [String: Function] = [
        "b64enc": Function([.string]) { .string(Base64.encode($0[0].text.utf8)) },
        "b64dec": Function([.string]) { values in
            .string(Base64.decode(values[0].text.utf8).map { TextTools.text($0) } ?? "illegal base64 data")
        },
        "b32enc": Function([.string]) { .string(Base32.encode($0[0].text.utf8)) },
        "b32dec": Function([.string]) { values in
            .string(Base32.decode(values[0].text.utf8).map { TextTools.text($0) } ?? "illegal base32 data")
        },
        "sha1sum": Function([.string]) { .string(Hex.encode(SHA1.digest($0[0].text))) },
        "sha256sum": Function([.string]) { .string(Hex.encode(SHA256.digest($0[0].text))) },
        "sha512sum": Function([.string]) { .string(Hex.encode(SHA512.digest($0[0].text))) },
        "adler32sum": Function([.string]) { values in .string(String(values[0].text.withBytes { Adler32.checksum($0) }))
        },
        "env": Function([.string]) { .string(environment($0[0].text)) },
        "expandenv": Function([.string]) { .string(expandEnvironment($0[0].text)) },
    ]

    private static func environment(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }

    /// Replaces `$name` and `${name}`.
    private static func expandEnvironment(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var output: [UInt8] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "$"), index + 1 < bytes.count else {
                output.append(bytes[index])
                index += 1
                continue
            }
            index += 1
            if bytes[index] == UInt8(ascii: "{") {
                guard let end = bytes[index...].firstIndex(of: UInt8(ascii: "}")) else { break }
                output.append(contentsOf: environment(TextTools.text(bytes[(index + 1)..<end])).utf8)
                index = end + 1
                continue
            }
            let name = bytes[index...].prefix {
                ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || $0 == 0x5F
            }
            if name.isEmpty { output.append(UInt8(ascii: "$")) }
            output.append(contentsOf: environment(TextTools.text(name)).utf8)
            index += name.count
        }
        return TextTools.text(output)
    }

    static let random: [String: Function] = [
        "randAlphaNum": Function([.int]) { values in
            .string(try pick(Casting.int(values[0]), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"))
        },
        "randAlpha": Function([.int]) { values in
            .string(try pick(Casting.int(values[0]), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
        },
        "randNumeric": Function([.int]) { .string(try pick(Casting.int($0[0]), "0123456789")) },
        "randAscii": Function([.int]) { values in
            .string(try pick(Casting.int(values[0]), TextTools.text(UInt8(0x20)...0x7E)))
        },
        "randBytes": Function([.int]) { values in
            let count = try TextTools.bounded(Casting.int(values[0]))
            return .string(Base64.encode((0..<count).map { _ in UInt8.random(in: 0...255) }))
        },
        "randInt": Function([.int, .int]) { values in
            let (low, high) = (Casting.int64(values[0]), Casting.int64(values[1]))
            guard low < high else { throw TextFormatError("invalid argument to Intn") }
            return .int(Int64.random(in: low..<high))
        },
        "shuffle": Function([.string]) { .string(TextTools.scalars($0[0].text.unicodeScalars.shuffled())) },
        "uuidv4": Function([]) { _ in
            var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
            bytes[6] = bytes[6] & 0x0F | 0x40
            bytes[8] = bytes[8] & 0x3F | 0x80
            let cuts = [0..<4, 4..<6, 6..<8, 8..<10, 10..<16]
            return .string(cuts.map { Hex.encode(bytes[$0]) }.joined(separator: "-"))
        },
    ]

    private static func pick(_ count: Int, _ letters: String) throws -> String {
        let letters = Array(letters.utf8)
        return TextTools.text(
            (0..<(try TextTools.bounded(count))).map { _ in letters[Int.random(in: 0..<letters.count)] })
    }

    static let paths: [String: Function] = {
        let functions: [String: Function] = [
            "base": Function([.string]) { .string(PathTools.base($0[0].text)) },
            "dir": Function([.string]) { .string(PathTools.directory($0[0].text)) },
            "clean": Function([.string]) { .string(PathTools.clean($0[0].text)) },
            "ext": Function([.string]) { .string(PathTools.fileExtension($0[0].text)) },
            "isAbs": Function([.string]) { .bool($0[0].text.hasPrefix("/")) },
        ]
        var table = functions
        for (name, function) in functions { table["os" + name.prefix(1).uppercased() + name.dropFirst()] = function }
        return table
    }()
}

/// Go's `path` package.
enum PathTools {
    static func clean(_ path: String) -> String {
        if path.isEmpty { return "." }
        let isRooted = path.hasPrefix("/")
        var kept: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == "..", let last = kept.last, last != ".." {
                kept.removeLast()
            } else if part != ".." || !isRooted {
                kept.append(part)
            }
        }
        let joined = kept.joined(separator: "/")
        return isRooted ? "/" + joined : joined.isEmpty ? "." : joined
    }

    static func base(_ path: String) -> String {
        if path.isEmpty { return "." }
        return path.split(separator: "/").last.map { String($0) } ?? "/"
    }

    static func directory(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return clean(String(path[...slash]))
    }

    static func fileExtension(_ path: String) -> String {
        let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[$0...].dropFirst() } ?? path[...]
        return name.utf8.lastIndex(of: UInt8(ascii: ".")).map { String(name[$0...]) } ?? ""
    }
}

/// Base32 (RFC 4648 section 6), padded.
enum Base32 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var output: [UInt8] = []
        var bits: UInt32 = 0
        var held: UInt32 = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            held += 8
            while held >= 5 {
                held -= 5
                output.append(alphabet[Int(bits >> held & 31)])
            }
            bits &= (1 << held) - 1
        }
        if held > 0 { output.append(alphabet[Int(bits << (5 - held) & 31)]) }
        while output.count % 8 != 0 { output.append(UInt8(ascii: "=")) }
        return TextTools.text(output)
    }

    static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var output: [UInt8] = []
        var bits: UInt32 = 0
        var held: UInt32 = 0
        var letters = 0
        var padding = 0
        for byte in text where byte != 0x0A && byte != 0x0D {
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = alphabet.firstIndex(of: byte) else { return nil }
            letters += 1
            bits = bits << 5 | UInt32(value)
            held += 5
            if held >= 8 {
                held -= 8
                output.append(UInt8(truncatingIfNeeded: bits >> held))
            }
            bits &= (1 << held) - 1
        }
        guard (letters + padding) % 8 == 0, [0, 1, 3, 4, 6].contains(padding) else { return nil }
        return output
    }
}
