import Essentials
import Glibc

/// Access key, secret and session token of AWS.
struct AWSCredentials: Sendable {
    var accessKey: String
    var secretKey: Secret<String>
    var sessionToken: Secret<String>?
}

/// Signs requests with AWS Signature Version 4 (AWS General Reference, "Create a signed AWS API request").
struct SigV4Signer: Sendable {
    let credentials: AWSCredentials
    let region: String
    let service: String

    /// Adds `x-amz-date`, `x-amz-security-token` and `authorization`; every field of the request but those that
    /// change on the way is signed.
    func sign(_ request: inout HTTPClientRequest, at unixSeconds: Int64) {
        let (stamp, day) = Self.timestamps(unixSeconds)
        request.fields["x-amz-date"] = stamp
        if let token = credentials.sessionToken { token.reveal { request.fields["x-amz-security-token"] = $0 } }
        request.fields.remove("authorization")
        var fields: [String: [String]] = ["host": [request.fields["host"] ?? request.url.authority]]
        for (name, value) in request.fields {
            let name = name.lowercased()
            if [
                "host", "user-agent", "expect", "transfer-encoding", "connection", "x-amzn-trace-id",
                "accept-encoding",
            ].contains(name) {
                continue
            }
            fields[name, default: []].append(Self.collapsed(value))
        }
        let names = fields.keys.sorted()
        let signedNames = names.joined(separator: ";")
        let canonicalFields = names.map { "\($0):\((fields[$0] ?? []).joined(separator: ","))\n" }.joined()
        let canonical = [
            request.method.name, canonicalPath(request.url.path), Self.canonicalQuery(request.url.query ?? ""),
            canonicalFields, signedNames, SHA256.hex(SHA256.hash(request.body ?? [])),
        ].joined(separator: "\n")
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let toSign = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(SHA256.hex(SHA256.hash(Array(canonical.utf8))))"
        let signature = SHA256.hex(SHA256.authenticate(Array(toSign.utf8), key: signingKey(day)))
        request.fields["authorization"] =
            "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(signedNames), "
            + "Signature=\(signature)"
    }

    /// The URL with a signature in its query, good for `GET` without a body for `seconds` seconds.
    func presign(_ url: HTTPURL, for seconds: Int, at unixSeconds: Int64) -> Secret<String> {
        let (stamp, day) = Self.timestamps(unixSeconds)
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        var items = [
            url.query ?? "", "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=" + Percent.encode("\(credentials.accessKey)/\(scope)"), "X-Amz-Date=\(stamp)",
            "X-Amz-Expires=\(seconds)", "X-Amz-SignedHeaders=host",
        ]
        if let token = credentials.sessionToken {
            token.reveal { items.append("X-Amz-Security-Token=" + Percent.encode($0)) }
        }
        let query = Self.canonicalQuery(items.joined(separator: "&"))
        let canonical = [
            "GET", canonicalPath(url.path), query, "host:\(url.authority)\n", "host", SHA256.hex(SHA256.hash([])),
        ].joined(separator: "\n")
        let toSign = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(SHA256.hex(SHA256.hash(Array(canonical.utf8))))"
        let signature = SHA256.hex(SHA256.authenticate(Array(toSign.utf8), key: signingKey(day)))
        return Secret("https://\(url.authority)\(url.path)?\(query)&X-Amz-Signature=\(signature)")
    }

    private func signingKey(_ day: String) -> [UInt8] {
        let first = credentials.secretKey.reveal { Array("AWS4\($0)".utf8) }
        var key = SHA256.authenticate(Array(day.utf8), key: first)
        for part in [region, service, "aws4_request"] { key = SHA256.authenticate(Array(part.utf8), key: key) }
        return key
    }

    /// Every service but S3 encodes the path, encoded already, once more and resolves dots.
    private func canonicalPath(_ path: String) -> String {
        if service == "s3" { return path }
        return Percent.encode(HTTPURL.withoutDots(path[...]).withoutDoubleSlashes, keeping: "/")
    }

    private static func canonicalQuery(_ query: String) -> String {
        let items = query.split(separator: "&").map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? Percent.decode(parts[1]) : ""
            return (Percent.encode(Percent.decode(parts[0])), Percent.encode(value))
        }
        return items.sorted { $0.0 != $1.0 ? $0.0 < $1.0 : $0.1 < $1.1 }.map { "\($0.0)=\($0.1)" }
            .joined(separator: "&")
    }

    private static func collapsed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }

    static func timestamps(_ unixSeconds: Int64) -> (stamp: String, day: String) {
        var time = time_t(unixSeconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let day = "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))"
        return ("\(day)T\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))Z", day)
    }
}

extension String {
    fileprivate var withoutDoubleSlashes: String {
        var bytes: [UInt8] = []
        for byte in utf8 where !(byte == 47 && bytes.last == 47) { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
