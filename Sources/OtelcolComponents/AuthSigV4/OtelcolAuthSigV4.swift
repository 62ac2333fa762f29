package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Transport

/// Signs requests with AWS Signature Version 4.
package final class OtelcolAuthSigV4: Component {
    package typealias Exports = AuthExports

    package static let spec = ComponentSpec(
        "otelcol.auth.sigv4", .generallyAvailable, "Signs requests with AWS Signature Version 4.")

    package struct Arguments: Block, Sendable {
        let region: String
        let service: String
        let role: AssumeRole

        package init(from block: inout BlockReader) {
            region = block.optional("region", default: "", "The region; taken from the host when empty.")
            service = block.optional("service", default: "", "The service; taken from the host when empty.")
            role = block.block("assume_role", "A role that is assumed with the credentials found.")
            DebugMetrics.read(from: &block)
        }
    }

    /// The `assume_role` block.
    struct AssumeRole: Block, Sendable, Equatable {
        let arn: String
        let sessionName: String
        let stsRegion: String

        init(from block: inout BlockReader) {
            arn = block.optional("arn", default: "", "The role; none when empty.")
            sessionName = block.optional("session_name", default: "", "The name of the role's session.")
            stsRegion = block.optional("sts_region", default: "", "The region whose STS is asked; `region` when empty.")
        }
    }

    package init(_ arguments: Live<Arguments>, _ context: Context<AuthExports>) throws {
        let signer = SigV4RequestSigner(arguments, on: context.services.eventLoops, clock: context.clock)
        context.export(AuthExports(handler: AuthHandler(component: context.componentID, signer: signer)))
        context.report(.healthy("ready"))
    }
}

/// Signs by the arguments of the moment; one signer for each region and service, which keeps the role's session.
private final class SigV4RequestSigner: RequestSigner {
    private struct Key: Hashable {
        var region: String
        var service: String
        var role: String
        var session: String
        var stsRegion: String
    }

    private let arguments: Live<OtelcolAuthSigV4.Arguments>
    private let loops: EventLoops
    private let clock: EngineClock
    private let signers = Mutex<[Key: AWSRequestSigner]>([:])

    init(_ arguments: Live<OtelcolAuthSigV4.Arguments>, on loops: EventLoops, clock: EngineClock) {
        self.arguments = arguments
        self.loops = loops
        self.clock = clock
    }

    func sign(_ request: inout HTTPClientRequest, for client: OTLPClient?) async throws(AuthenticationError) {
        let current = arguments.current
        let host = AWSHost(request.url.host)
        let service = current.service.isEmpty ? host.service : current.service
        guard !service.isEmpty else {
            throw AuthenticationError("sigv4: set service, which \(request.url.host) does not tell")
        }
        let key = Key(
            region: current.region.isEmpty ? host.region : current.region, service: service, role: current.role.arn,
            session: current.role.sessionName, stsRegion: current.role.stsRegion)
        let signer = signers.withLock { signers in
            if let known = signers[key] { return known }
            if signers.count >= 64 { signers.removeAll() }
            var settings = SigV4Settings()
            settings.region = key.region.isEmpty ? nil : key.region
            settings.service = key.service
            settings.roleARN = key.role.isEmpty ? nil : key.role
            if !key.session.isEmpty { settings.sessionName = key.session }
            settings.stsRegion = key.stsRegion.isEmpty ? nil : key.stsRegion
            let made = AWSRequestSigner(settings, on: loops, clock: clock)
            signers[key] = made
            return made
        }
        do throws(HTTPClientError) {
            try await signer.sign(&request)
        } catch {
            throw AuthenticationError("\(error)")
        }
    }

    func refused() -> Bool { signers.withLock { signers in signers.values.reduce(false) { $1.forgetSession() || $0 } } }
}

/// What the host of an AWS service says of service and region, as the OpenTelemetry Collector reads it.
struct AWSHost: Equatable {
    var service = ""
    var region = ""

    init(_ host: String) {
        let labels = host.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard labels.count >= 4, labels.contains("amazonaws") else { return }
        if labels[0] == "aps-workspaces" {
            (service, region) = ("aps", labels[1])
        } else if labels[0].hasPrefix("search-"), labels[2] == "es" {
            (service, region) = ("es", labels[1])
        } else if labels[0] == "xray" || labels[0] == "logs" {
            (service, region) = (labels[0], labels[1])
        }
    }
}
