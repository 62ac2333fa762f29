import Essentials
import TextFormats

/// What a credentials file of Google Cloud holds.
///
/// Formats: "Application Default Credentials" and AIP-4110 to 4117 of google.aip.dev.
indirect enum GoogleCredentials: Sendable {
    /// A key that signs requests for tokens (RFC 7523).
    case serviceAccount(email: String, keyID: String, key: Secret<String>, tokenURL: HTTPURL)
    /// A user's refresh token.
    case user(clientID: String, clientSecret: Secret<String>, refreshToken: Secret<String>, tokenURL: HTTPURL)
    /// A token of another identity provider, exchanged for one of Google's (RFC 8693).
    case external(ExternalAccount)
    /// Another account whose token the source may ask for.
    case impersonated(url: HTTPURL, delegates: [String], source: GoogleCredentials)

    /// An identity of another provider.
    struct ExternalAccount: Sendable {
        enum Subject: Sendable {
            case file(String)
            case url(HTTPURL, fields: HTTPFields)
        }

        let audience: String
        let tokenType: String
        let tokenURL: HTTPURL
        let subject: Subject
        /// The member of a JSON document that is the token; nil takes the whole text.
        let tokenField: String?
    }

    /// Reads the text of a credentials file; errors name the member that is missing and never a value.
    init(parsing text: String) throws(GoogleCredentialsError) {
        guard let json = try? JSONValue(parsing: text, maximumDepth: 16), json.objectValue != nil else {
            throw GoogleCredentialsError("not a JSON object")
        }
        self = try Self.read(json)
    }

    /// The project of a credentials file that requests are charged to.
    static func quotaProject(in text: String) -> String? {
        let project = (try? JSONValue(parsing: text, maximumDepth: 16))?["quota_project_id"]?.stringValue
        return project == "" ? nil : project
    }

    private static let standardTokenURL = "https://oauth2.googleapis.com/token"

    private static func read(_ json: JSONValue) throws(GoogleCredentialsError) -> GoogleCredentials {
        switch json["type"]?.stringValue {
        case "service_account":
            return .serviceAccount(
                email: try text("client_email", of: json), keyID: json["private_key_id"]?.stringValue ?? "",
                key: Secret(try text("private_key", of: json)), tokenURL: try tokenURL(json))
        case "authorized_user":
            return .user(
                clientID: try text("client_id", of: json), clientSecret: Secret(try text("client_secret", of: json)),
                refreshToken: Secret(try text("refresh_token", of: json)), tokenURL: try tokenURL(json))
        case "external_account":
            let account = GoogleCredentials.external(try externalAccount(json))
            guard json["service_account_impersonation_url"] != nil else { return account }
            return try impersonated(json, by: account)
        case "impersonated_service_account":
            guard let source = json["source_credentials"] else {
                throw GoogleCredentialsError("source_credentials is missing")
            }
            return try impersonated(json, by: try read(source))
        case let type?: throw GoogleCredentialsError("credentials of the type \"\(type)\" are not supported")
        case nil: throw GoogleCredentialsError("type is missing")
        }
    }

    private static func impersonated(
        _ json: JSONValue, by source: GoogleCredentials
    ) throws(GoogleCredentialsError) -> GoogleCredentials {
        .impersonated(
            url: try url("service_account_impersonation_url", of: json),
            delegates: json["delegates"]?.arrayValue?.compactMap(\.stringValue) ?? [], source: source)
    }

    private static func externalAccount(_ json: JSONValue) throws(GoogleCredentialsError) -> ExternalAccount {
        guard let source = json["credential_source"] else {
            throw GoogleCredentialsError("credential_source is missing")
        }
        let subject: ExternalAccount.Subject
        if let file = source["file"]?.stringValue {
            subject = .file(file)
        } else if source["url"] != nil, source["environment_id"] == nil {
            var fields = HTTPFields()
            for (name, value) in source["headers"]?.objectValue ?? [:] {
                guard let value = value.stringValue, HTTPFields.isValid(name: name, value: value) else {
                    throw GoogleCredentialsError("credential_source.headers holds what cannot be sent")
                }
                fields[name] = value
            }
            subject = .url(try url("url", of: source), fields: fields)
        } else {
            throw GoogleCredentialsError("credential_source must have a file or a url; other sources are not supported")
        }
        let format = source["format"]
        let isJSON = format?["type"]?.stringValue == "json"
        return ExternalAccount(
            audience: try text("audience", of: json), tokenType: try text("subject_token_type", of: json),
            tokenURL: try url("token_url", of: json), subject: subject,
            tokenField: isJSON ? format?["subject_token_field_name"]?.stringValue ?? "access_token" : nil)
    }

    private static func tokenURL(_ json: JSONValue) throws(GoogleCredentialsError) -> HTTPURL {
        if json["token_uri"] != nil { return try url("token_uri", of: json) }
        guard let url = HTTPURL(standardTokenURL) else { throw GoogleCredentialsError("token_uri is not a URL") }
        return url
    }

    private static func text(_ name: String, of json: JSONValue) throws(GoogleCredentialsError) -> String {
        guard let value = json[name]?.stringValue, !value.isEmpty else {
            throw GoogleCredentialsError("\(name) is missing")
        }
        return value
    }

    private static func url(_ name: String, of json: JSONValue) throws(GoogleCredentialsError) -> HTTPURL {
        guard let url = HTTPURL(try text(name, of: json)), url.scheme == "https" || url.scheme == "http" else {
            throw GoogleCredentialsError("\(name) is not an http or https URL")
        }
        return url
    }
}

/// What is wrong with a credentials file.
struct GoogleCredentialsError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
