import Essentials
import TextFormats
import Transport

/// Names and passwords in the form of Apache's htpasswd: `name:password` lines, passwords plain or as `{SHA}` digests.
///
/// Hashes made to be slow (bcrypt, MD5 and SHA crypt) are refused when the file is read, not taken for plain text.
enum PasswordFile {
    /// What is wrong with the file; nil when nothing is.
    static func problem(in text: String) -> String? {
        for (number, line) in lines(text).enumerated() {
            guard let (_, password) = split(line) else { return "line \(number + 1) has no colon" }
            if password.hasPrefix("$") {
                return "line \(number + 1): only plain passwords and {SHA} digests are supported"
            }
        }
        return nil
    }

    /// Whether `name` has this password; takes the same time for every wrong password of a user.
    static func accepts(_ name: String, _ password: String, in text: String) -> Bool {
        var accepted = false
        for line in lines(text) {
            guard let (user, stored) = split(line), user == name else { continue }
            let given: String
            if stored.hasPrefix("{SHA}") {
                given = "{SHA}" + Base64.encode(SHA1.digest(Array(password.utf8)))
            } else if stored.hasPrefix("$") {
                continue
            } else {
                given = password
            }
            // As in htpasswd, the last line of a name counts.
            accepted = Secret(given) == Secret(String(stored))
        }
        return accepted
    }

    private static func lines(_ text: String) -> [Substring] {
        text.split(whereSeparator: \.isNewline).filter { !$0.trimmed.isEmpty && !$0.hasPrefix("#") }
    }

    private static func split(_ line: Substring) -> (name: Substring, password: Substring)? {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        return (line[..<colon].trimmed, line[line.index(after: colon)...].trimmed)
    }
}
