import ComponentKit
import Essentials
import Glibc
import Runtime
import SelfMetrics
import Transport

/// Everything a maintainer asks for first, in one archive. Values come from the places that mask secrets; environment
/// variables appear by name, and by value only where they are known to hold none.
struct SupportBundle: Sendable {
    let runtime: Runtime
    let services: EngineServices
    let settings: ConsoleServer.Settings
    let recentLogs: RecentLogs

    private static let root = "alloy-support-bundle/"
    private static let harmlessVariables = [
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALLOY_DEPLOY_MODE", "HOSTNAME", "TZ", "LANG",
    ]

    /// Samples metrics at the start and the end of `seconds` and packs the rest.
    func collect(seconds: Int) async throws -> [UInt8] {
        let start = Exposition.text(services.metrics.collect())
        try await services.clock.sleep(for: .seconds(seconds))
        let end = Exposition.text(services.metrics.collect())
        var archive = ZipArchive()
        archive.add(Self.root + "alloy-metadata.yaml", Array(metadata.utf8))
        archive.add(Self.root + "alloy-components.json", ComponentJSON.list(runtime.allComponents()))
        archive.add(Self.root + "alloy-ledger.json", LedgerJSON.text(runtime.ledger()))
        archive.add(Self.root + "alloy-peers.json", Array("[]".utf8))
        archive.add(Self.root + "alloy-metrics-sample-start.txt", start)
        archive.add(Self.root + "alloy-metrics-sample-end.txt", end)
        let flags = settings.flags.map { "\($0.name)=\($0.value)\n" }.joined()
        archive.add(Self.root + "alloy-runtime-flags.txt", Array(flags.utf8))
        archive.add(Self.root + "alloy-environment.txt", Array(environment.utf8))
        archive.add(Self.root + "alloy-logs.txt", recentLogs.text)
        return archive.finished()
    }

    private var metadata: String {
        var system = utsname()
        uname(&system)
        let release = withUnsafeBytes(of: &system.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return "buildVersion: \(settings.version)\nos: linux\nkernel: \(release)\nprocessID: \(getpid())\n"
    }

    private var environment: String {
        Self.harmlessVariables.compactMap { name in
            getenv(name).map { value in
                let text = String(cString: value)
                // A proxy's URL may carry a password.
                return "\(name)=\(text.contains("@") ? "(secret)" : text)\n"
            }
        }.joined()
    }
}

/// The machine's name.
enum HostName {
    static var current: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
