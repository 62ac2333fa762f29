import Essentials
import Glibc
import NIOCore

extension TokenAuthoriser {
    /// Fetches tokens of Microsoft Entra ID and puts them on requests.
    ///
    /// Protocols: "Microsoft identity platform and the OAuth 2.0 client credentials flow" (secret and federated token) and
    /// "How to use managed identities for Azure resources on an Azure VM to acquire an access token" (instance metadata
    /// and App Service). A token is renewed at half of its life, as Prometheus does.
    static func azureAD(
        _ settings: AzureADSettings, userAgent: String, on loops: EventLoops, clock: EngineClock,
        authority: String? = nil,
        environment: @escaping @Sendable (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
    ) -> TokenAuthoriser {
        var own = HTTPClientSettings()
        own.userAgent = userAgent
        let source = AzureTokenSource(
            settings: settings, client: TokenClient("azuread", own, on: loops, clock: clock),
            authority: authority ?? settings.cloud.authority,
            environment: { name in environment(name).flatMap { $0.isEmpty ? nil : $0 } })
        return TokenAuthoriser(clock: clock) { deadline throws(HTTPClientError) in
            try await source.token(until: deadline)
        }
    }
}

extension AzureADSettings.Cloud {
    /// Where identities of the cloud are proved.
    var authority: String {
        switch self {
        case .public: "https://login.microsoftonline.com/"
        case .government: "https://login.microsoftonline.us/"
        case .china: "https://login.chinacloudapi.cn/"
        }
    }

    /// The scope of Azure Monitor's ingestion.
    var ingestionScope: String {
        switch self {
        case .public: "https://monitor.azure.com//.default"
        case .government: "https://monitor.azure.us//.default"
        case .china: "https://monitor.azure.cn//.default"
        }
    }
}

/// Asks for one token in the way the settings say.
private struct AzureTokenSource: Sendable {
    let settings: AzureADSettings
    let client: TokenClient
    let authority: String
    let environment: @Sendable (String) -> String?

    private var scope: String { settings.scope ?? settings.cloud.ingestionScope }

    func token(until deadline: NIODeadline) async throws(HTTPClientError) -> AccessToken {
        let grant = try await grant(until: deadline)
        return try client.token(grant, renewedAfter: (grant.lifetime ?? .seconds(600)) / 2)
    }

    private func grant(until deadline: NIODeadline) async throws(HTTPClientError) -> TokenClient.Grant {
        switch settings.identity {
        case .managed(let clientID): try await askInstance(clientID, deadline)
        case .workload(let clientID, let tenantID, let file):
            try await askWithAssertion(clientID, tenantID, file, deadline)
        case .application(let clientID, let secret, let tenantID):
            try await askWithSecret(clientID, secret, tenantID, deadline)
        case .environment(let tenantID): try await askAsEnvironmentSays(tenantID, deadline)
        }
    }

    /// The order of Azure's own SDKs: a secret, then a federated token, then the machine's identity. Developer tools
    /// with a login of their own are not asked.
    private func askAsEnvironmentSays(
        _ tenantID: String, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> TokenClient.Grant {
        let clientID = environment("AZURE_CLIENT_ID")
        let tenant = tenantID.isEmpty ? environment("AZURE_TENANT_ID") : tenantID
        if let clientID, let secret = environment("AZURE_CLIENT_SECRET"),
            let tenant = environment("AZURE_TENANT_ID") ?? tenant
        {
            return try await askWithSecret(clientID, Secret(secret), tenant, deadline)
        }
        if let clientID, let tenant, let file = environment("AZURE_FEDERATED_TOKEN_FILE") {
            return try await askWithAssertion(clientID, tenant, file, deadline)
        }
        return try await askInstance(clientID, deadline)
    }

    private func askWithSecret(
        _ clientID: String, _ secret: Secret<String>, _ tenantID: String, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> TokenClient.Grant {
        let url = try tokenURL(tenantID)
        let request = secret.reveal { secret in
            HTTPClientRequest.tokenForm(
                url,
                [
                    ("grant_type", "client_credentials"), ("client_id", clientID), ("client_secret", secret),
                    ("scope", scope),
                ])
        }
        return try await client.grant(request, until: deadline)
    }

    private func askWithAssertion(
        _ clientID: String, _ tenantID: String, _ file: String, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> TokenClient.Grant {
        let assertion = try SecretSource.file(file).read()
        let type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        let request = HTTPClientRequest.tokenForm(
            try tokenURL(tenantID),
            [
                ("grant_type", "client_credentials"), ("client_id", clientID), ("client_assertion_type", type),
                ("client_assertion", assertion), ("scope", scope),
            ])
        return try await client.grant(request, until: deadline)
    }

    private func tokenURL(_ tenantID: String) throws(HTTPClientError) -> HTTPURL {
        let base = authority.hasSuffix("/") ? authority : authority + "/"
        guard let url = HTTPURL("\(base)\(Percent.encode(tenantID))/oauth2/v2.0/token") else {
            throw .authorisation("azuread: tenant_id does not make a URL")
        }
        return url
    }

    /// Asks the machine: App Service by `IDENTITY_ENDPOINT`, otherwise the instance metadata service.
    private func askInstance(
        _ clientID: String?, _ deadline: NIODeadline
    ) async throws(HTTPClientError) -> TokenClient.Grant {
        var base = "\(environment("AZURE_POD_IDENTITY_AUTHORITY_HOST") ?? "http://169.254.169.254")"
        if base.hasSuffix("/") { base.removeLast() }
        base += "/metadata/identity/oauth2/token"
        var version = "2018-02-01"
        var fields: HTTPFields = ["metadata": "true"]
        if let endpoint = environment("IDENTITY_ENDPOINT"), let header = environment("IDENTITY_HEADER") {
            (base, version, fields) = (endpoint, "2019-08-01", ["x-identity-header": header])
        }
        var items: [(name: String, value: String)] = [("api-version", version), ("resource", resource)]
        if let clientID { items.append(("client_id", clientID)) }
        guard let url = HTTPURL("\(base)?\(Percent.form(items))") else {
            throw .authorisation("azuread: the endpoint of managed identities is not a URL")
        }
        return try await client.grant(HTTPClientRequest(.get, url, fields: fields), until: deadline)
    }

    /// What managed identities call a scope.
    private var resource: String {
        scope.hasSuffix("/.default") ? String(scope.dropLast("/.default".count)) : scope
    }
}
