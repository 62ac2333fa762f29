import CCrypt
import Essentials
import Glibc
import TextFormats
import Transport

/// Names and passwords in the form of Apache's htpasswd: `name:password` lines. Passwords are plain, SHA-1 digests
/// (`{SHA}`, `{SSHA}`) or what crypt(3) makes of them (bcrypt, SHA-256, SHA-512, MD5).
///
/// Apache's own variant of MD5 is refused when the file is read, not taken for plain text.
enum PasswordFile {
    /// What crypt(3) is asked for.
    private static let cryptPrefixes = ["$1$", "$2a$", "$2b$", "$2x$", "$2y$", "$5$", "$6$"]
    /// Bytes of a password that crypt(3) takes.
    private static let longestPassword = 511

    /// What is wrong with the file; nil when nothing is.
    static func problem(in text: String) -> String? {
        for (number, line) in lines(text).enumerated() {
            guard let (_, password) = split(line) else { return "line \(number + 1) has no colon" }
            if password.hasPrefix("$"), !isCrypt(password) {
                return "line \(number + 1): hashes of this kind are not supported: use bcrypt, SHA-256 or SHA-512"
            }
            if isCrypt(password), crypt("", setting: password) == nil {
                return "line \(number + 1): the hash cannot be used"
            }
        }
        return nil
    }

    /// Whether `name` has this password. Blocks for as long as slow hashes take.
    static func accepts(_ name: String, _ password: String, in text: String) -> Bool {
        // As in htpasswd, the last line of a name counts.
        var found: Substring?
        for line in lines(text) {
            if let (user, stored) = split(line), user == name { found = stored }
        }
        guard let found else { return false }
        return matches(password, found)
    }

    private static func matches(_ password: String, _ stored: Substring) -> Bool {
        let given: String
        if stored.hasPrefix("{SHA}") {
            given = "{SHA}" + Base64.encode(SHA1.digest(Array(password.utf8)))
        } else if stored.hasPrefix("{SSHA}") {
            guard let bytes = Base64.decode(stored.dropFirst(6)), bytes.count > 20 else { return false }
            given = "{SSHA}" + Base64.encode(SHA1.digest(Array(password.utf8) + bytes[20...]) + bytes[20...])
        } else if isCrypt(stored) {
            guard let hash = crypt(password, setting: stored) else { return false }
            given = hash
        } else if stored.hasPrefix("$") {
            return false
        } else {
            given = password
        }
        return Secret(given) == Secret(String(stored))
    }

    private static func isCrypt(_ stored: Substring) -> Bool { cryptPrefixes.contains { stored.hasPrefix($0) } }

    /// The hash of `password` by the method, cost and salt of `setting`.
    private static func crypt(_ password: String, setting: Substring) -> String? {
        guard password.utf8.count <= longestPassword, !password.utf8.contains(0) else { return nil }
        let size = INVAR_CRYPT_DATA_SIZE
        let data = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        defer {
            // It holds the password.
            explicit_bzero(data, size)
            data.deallocate()
        }
        memset(data, 0, size)
        guard let hash = crypt_rn(password, String(setting), data, CInt(size)) else { return nil }
        return String(cString: hash)
    }

    private static func lines(_ text: String) -> [Substring] {
        text.split(whereSeparator: \.isNewline).filter { !$0.trimmed.isEmpty && !$0.hasPrefix("#") }
    }

    private static func split(_ line: Substring) -> (name: Substring, password: Substring)? {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        return (line[..<colon].trimmed, line[line.index(after: colon)...].trimmed)
    }
}
