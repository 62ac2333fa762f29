import AlloySyntax
import Essentials
import Kubernetes
import Transport

/// How a client proves to Vault who it is: an `auth.*` block.
enum VaultLogin: Sendable, Equatable {
    case token(Secret<String>)
    /// A request to a login path; `namespace` replaces the client's own.
    case request(path: String, fields: [String: Secret<String>], namespace: String?)
    /// AppRole; a wrapped secret is unwrapped first.
    case appRole(mount: String, role: String, secret: Secret<String>, isWrapped: Bool)
    /// The token of a service account, read at each login.
    case kubernetes(mount: String, role: String, tokenFile: String)
    /// What a cloud says of the machine or workload.
    case cloud(Cloud, mount: String, role: String)
    /// A way that was refused.
    case none

    /// How a cloud vouches for its own.
    enum Cloud: Sendable, Equatable {
        /// A signed request that Vault sends on to AWS.
        case awsIAM(region: String, serverID: String)
        /// The identity document of an EC2 instance, with a signature in it or beside it.
        case ec2(isPKCS7: Bool)
        /// The managed identity of a machine.
        case azure(resource: String)
        /// The identity token of a machine.
        case googleInstance(role: String)
        /// A claim that Google signs for a service account.
        case googleAccount(role: String, account: String)
    }

    /// Reads the blocks of every way.
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
            Variant("aws", "Authenticates with credentials of AWS.") { aws(&$0) },
            Variant("azure", "Authenticates with the managed identity of an Azure machine.") { block in
                let role: String = block.required("role", "Role to log in with.")
                let resource = block.optional(
                    "resource_url", default: "https://management.azure.com/", "Resource the identity is for.")
                return .cloud(
                    .azure(resource: resource.isEmpty ? "https://management.azure.com/" : resource),
                    mount: mount(&block, "azure"), role: role)
            },
            Variant("gcp", "Authenticates with an identity of Google Cloud.") { gcp(&$0) },
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

    private static func aws(_ block: inout BlockReader) -> VaultLogin {
        let type = block.optional("type", default: "iam", "`iam` signs a request, `ec2` shows the instance's identity.")
        let region = block.optional("region", default: "us-east-1", "Region whose service is asked.")
        let role = block.optional("role", default: "", "Role to log in with; Vault chooses when empty.")
        let serverID = block.optional("iam_server_id_header", default: "", "Name of the Vault server that is signed.")
        let form = block.optional("ec2_signature_type", default: "pkcs7", "`pkcs7` or `identity`.")
        if type != "iam", type != "ec2" { block.reject("type", "must be iam or ec2") }
        if form != "pkcs7", form != "identity" { block.reject("ec2_signature_type", "must be pkcs7 or identity") }
        if !HTTPFields.isValid(name: "x-vault-aws-iam-server-id", value: serverID) {
            block.reject("iam_server_id_header", "holds characters that cannot be sent")
        }
        return .cloud(
            type == "ec2"
                ? .ec2(isPKCS7: form == "pkcs7")
                : .awsIAM(region: region.isEmpty ? "us-east-1" : region, serverID: serverID),
            mount: mount(&block, "aws"), role: role)
    }

    private static func gcp(_ block: inout BlockReader) -> VaultLogin {
        let role: String = block.required("role", "Role to log in with.")
        let type = block.optional(
            "type", default: "gce", "`gce` shows the machine's identity, `iam` that of a service account.")
        let account = block.optional("iam_service_account", "Service account of the identity, for `iam`.") ?? ""
        if type != "gce", type != "iam" { block.reject("type", "must be gce or iam") }
        if type == "iam", account.isEmpty { block.reject("iam_service_account", "must be set when type is iam") }
        return .cloud(
            type == "iam" ? .googleAccount(role: role, account: account) : .googleInstance(role: role),
            mount: mount(&block, "gcp"), role: role)
    }
}
