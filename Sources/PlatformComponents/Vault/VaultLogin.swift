import AlloySyntax
import Essentials
import Kubernetes

/// How a client proves to Vault who it is: an `auth.*` block.
enum VaultLogin: Sendable, Equatable {
    case token(Secret<String>)
    /// A request to a login path; `namespace` replaces the client's own.
    case request(path: String, fields: [String: Secret<String>], namespace: String?)
    /// AppRole; a wrapped secret is unwrapped first.
    case appRole(mount: String, role: String, secret: Secret<String>, isWrapped: Bool)
    /// The token of a service account, read at each login.
    case kubernetes(mount: String, role: String, tokenFile: String)
    /// A way that was refused.
    case none

    /// Reads the blocks of every way. Those that need the credentials of a cloud are refused by name.
    static func variants() -> [Variant<VaultLogin>] {
        [
            Variant("token", "Authenticates with a token.") { block in
                .token(block.required("token", "The token."))
            },
            Variant("approle", "Authenticates with an AppRole.") { block in
                let role: String = block.required("role_id", "Identifier of the role.")
                let secret: Secret<String> = block.required("secret", "Secret of the role.")
                let isWrapped = block.optional(
                    "wrapping_token", default: false, "Whether the secret is a token that wraps the real one.")
                return .appRole(
                    mount: mount(&block, "approle"), role: role, secret: secret, isWrapped: isWrapped)
            },
            Variant("kubernetes", "Authenticates with the token of a service account.") { block in
                let role: String = block.required("role", "Role to log in with.")
                let file = block.optional(
                    "service_account_file", default: "/var/run/secrets/kubernetes.io/serviceaccount/token",
                    "File with the token of the service account.")
                return .kubernetes(mount: mount(&block, "kubernetes"), role: role, tokenFile: file)
            },
            named("ldap", "Authenticates with a name and password of a directory."),
            named("userpass", "Authenticates with a name and a password."),
            Variant("custom", "Authenticates with any login path.") { block in
                let path: String = block.required("path", "Path to log in at, such as `auth/kubernetes/login`.")
                let data: [String: Secret<String>] = block.required("data", "Fields of the request.")
                let namespace = block.optional("namespace", "Namespace to log in in.") ?? ""
                if path.isEmpty, block.isSet("path") { block.reject("path", "must not be empty") }
                return .request(path: path, fields: data, namespace: namespace.isEmpty ? nil : namespace)
            },
            Variant("aws", "Authenticates with credentials of AWS; not supported.") { block in
                let _ = block.optional("type", default: "iam", "Kind of credentials.")
                let _ = block.optional("region", default: "us-east-1", "Region of AWS.")
                let _ = block.optional("role", default: "", "Role to log in with.")
                let _ = block.optional("iam_server_id_header", default: "", "Identifier of the server.")
                let _ = block.optional("ec2_signature_type", default: "pkcs7", "Form of the signature.")
                return refused(&block, mount: "aws")
            },
            Variant("azure", "Authenticates with an identity of Azure; not supported.") { block in
                let _: String = block.required("role", "Role to log in with.")
                let _ = block.optional(
                    "resource_url", default: "https://management.azure.com/", "Resource the identity is for.")
                return refused(&block, mount: "azure")
            },
            Variant("gcp", "Authenticates with an identity of Google Cloud; not supported.") { block in
                let _: String = block.required("role", "Role to log in with.")
                let _ = block.optional("type", default: "gce", "Kind of identity.")
                let _: String? = block.optional("iam_service_account", "Service account of the identity.")
                return refused(&block, mount: "gcp")
            },
        ]
    }

    private static func mount(_ block: inout BlockReader, _ name: String) -> String {
        block.optional("mount_path", default: name, "Path the method is mounted at.")
    }

    private static func named(_ name: String, _ doc: String) -> Variant<VaultLogin> {
        Variant(name, doc) { block in
            let username: String = block.required("username", "Name of the user.")
            let password: Secret<String> = block.required("password", "Password of the user.")
            let path = "auth/\(mount(&block, name))/login/\(APIPath.segment(username))"
            return .request(path: path, fields: ["password": password], namespace: nil)
        }
    }

    private static func refused(_ block: inout BlockReader, mount name: String) -> VaultLogin {
        _ = mount(&block, name)
        block.reject("auth.\(name) is not supported: use auth.kubernetes, auth.approle or auth.custom instead")
        return .none
    }
}
