import AlloySyntax
import ComponentKit
import Essentials
import TextFormats
import Transport

extension PrometheusRemoteWrite {
    /// An `azuread` block.
    struct AzureAD: Block {
        /// Nil when the block is not whole, which has been reported.
        let settings: AzureADSettings?

        init(from block: inout BlockReader) {
            let cloud: String = block.optional(
                "cloud", default: "AzurePublic", "Azure cloud: `AzurePublic`, `AzureGovernment` or `AzureChina`.")
            let scope: String = block.optional(
                "scope", default: "", "OAuth 2.0 scope of the tokens; that of the cloud's metrics ingestion by default."
            )
            let managed: Managed? = block.optionalBlock("managed_identity", "An identity the machine has.")
            let workload: Workload? = block.optionalBlock(
                "workload_identity", "An application that proves itself by a token of the cluster it runs in.")
            let application: Application? = block.optionalBlock("oauth", "An application with a secret.")
            let environment: Environment? = block.optionalBlock(
                "sdk", "What the environment says: a secret, a federated token, or the machine's identity.")
            let identities = [
                managed?.identity, workload?.identity, application?.identity, environment?.identity,
            ].compactMap { $0 }
            let known = AzureADSettings.Cloud(rawValue: cloud)
            if known == nil {
                block.reject("cloud", "must be one of AzurePublic, AzureGovernment and AzureChina")
            }
            if identities.isEmpty {
                block.reject("needs one of the blocks managed_identity, workload_identity, oauth and sdk")
            } else if identities.count > 1 {
                block.reject("takes only one of the blocks managed_identity, workload_identity, oauth and sdk")
            }
            if !Self.isScope(scope) { block.reject("scope", "contains characters that a scope cannot have") }
            settings = known.flatMap { cloud in
                identities.first.map { AzureADSettings($0, cloud: cloud, scope: scope.isEmpty ? nil : scope) }
            }
        }

        private static func isScope(_ text: String) -> Bool {
            text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "-")...UInt8(ascii: ":"), UInt8(ascii: "_"), 9, 10, 12, 13, 32:
                    true
                default: false
                }
            }
        }
    }

    /// A `google_iam` block.
    struct GoogleIAM: Block {
        let settings: GoogleIAMSettings

        init(from block: inout BlockReader) {
            settings = GoogleIAMSettings(
                credentialsFile: block.nonEmpty(
                    "credentials_file", "File with credentials; looked for where Google's tools keep them by default."))
        }
    }
}

extension PrometheusRemoteWrite.AzureAD {
    struct Managed: Block {
        let identity: AzureADSettings.Identity

        init(from block: inout BlockReader) {
            let clientID: String = block.required("client_id", "Client ID of the identity, a UUID.")
            block.checkUUID("client_id", clientID)
            identity = .managed(clientID: clientID)
        }
    }

    struct Workload: Block {
        private static let standardTokenFile = "/var/run/secrets/azure/tokens/azure-identity-token"

        let identity: AzureADSettings.Identity

        init(from block: inout BlockReader) {
            let clientID: String = block.required("client_id", "Client ID of the application or identity, a UUID.")
            let tenantID: String = block.required("tenant_id", "Tenant of the application or identity, a UUID.")
            let file: String = block.optional(
                "token_file_path", default: Self.standardTokenFile, "File with the projected service account token.")
            block.checkUUID("client_id", clientID)
            block.checkUUID("tenant_id", tenantID)
            identity = .workload(
                clientID: clientID, tenantID: tenantID, tokenFile: file.isEmpty ? Self.standardTokenFile : file)
        }
    }

    struct Application: Block {
        let identity: AzureADSettings.Identity

        init(from block: inout BlockReader) {
            let clientID: String = block.required("client_id", "Client ID of the application, a UUID.")
            let secret: Secret<String> = block.required("client_secret", "Secret of the application.")
            let tenantID: String = block.required("tenant_id", "Tenant of the application.")
            block.checkUUID("client_id", clientID)
            if block.isSet("client_secret"), secret.isEmpty { block.reject("client_secret", "must not be empty") }
            block.checkTenant("tenant_id", tenantID)
            identity = .application(clientID: clientID, clientSecret: secret, tenantID: tenantID)
        }
    }

    struct Environment: Block {
        let identity: AzureADSettings.Identity

        init(from block: inout BlockReader) {
            let tenantID: String = block.required("tenant_id", "Tenant of the identity; empty is the environment's.")
            if !tenantID.isEmpty { block.checkTenant("tenant_id", tenantID) }
            identity = .environment(tenantID: tenantID)
        }
    }
}

extension BlockReader {
    /// Rejects what is not a UUID such as `00000000-0000-0000-0000-000000000000`.
    fileprivate mutating func checkUUID(_ name: String, _ text: String) {
        guard isSet(name) else { return }
        let lengths = text.split(separator: "-", omittingEmptySubsequences: false).map(\.utf8.count)
        guard lengths == [8, 4, 4, 4, 12], text.allSatisfy({ $0 == "-" || ($0.isASCII && $0.isHexDigit) }) else {
            return reject(name, "must be a UUID")
        }
    }

    /// Rejects what is neither a tenant's UUID nor its domain.
    fileprivate mutating func checkTenant(_ name: String, _ text: String) {
        guard isSet(name) else { return }
        guard !text.isEmpty, text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".") })
        else { return reject(name, "must be a tenant's UUID or domain") }
    }
}
