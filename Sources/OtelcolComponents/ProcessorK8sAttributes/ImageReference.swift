/// The parts of a container image's name: `registry/repository:tag@digest`.
///
/// Source: the grammar of image references of the OCI distribution specification and of Docker.
struct ImageReference: Equatable {
    /// With the registry, where one is named.
    let repository: String
    let tag: String?
    /// With its algorithm: `sha256:...`.
    let digest: String?

    /// Nil when the text is no such name.
    init?(_ text: String) {
        var rest = text[...]
        if let at = rest.firstIndex(of: "@") {
            let digest = rest[rest.index(after: at)...]
            guard let colon = digest.firstIndex(of: ":"), digest[digest.index(after: colon)...].count >= 32 else {
                return nil
            }
            self.digest = String(digest)
            rest = rest[..<at]
        } else {
            digest = nil
        }
        let last = rest.lastIndex(of: "/").map { rest.index(after: $0) } ?? rest.startIndex
        if let colon = rest[last...].firstIndex(of: ":") {
            let tag = rest[rest.index(after: colon)...]
            guard !tag.isEmpty else { return nil }
            self.tag = String(tag)
            rest = rest[..<colon]
        } else {
            tag = nil
        }
        guard !rest.isEmpty, !rest.hasSuffix("/"), rest.allSatisfy({ $0.isASCII && !$0.isWhitespace }) else {
            return nil
        }
        repository = String(rest)
    }

    /// What the semantic conventions make the version of a service: tag and digest, or what there is of them.
    var version: String? {
        guard let digest else { return tag }
        return tag.map { "\($0)@\(digest)" } ?? digest
    }

    /// The name with its registry and the digest; nil without a digest.
    var canonical: String? {
        guard let digest, !repository.contains("://") else { return nil }
        let first = repository.split(separator: "/", maxSplits: 1)[0]
        if !repository.contains("/") { return "docker.io/library/\(repository)@\(digest)" }
        if first.contains(".") || first.contains(":") || first == "localhost" { return "\(repository)@\(digest)" }
        return "docker.io/\(repository)@\(digest)"
    }
}
