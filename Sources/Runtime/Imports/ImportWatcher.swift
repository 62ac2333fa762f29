import ComponentKit
import Essentials

/// Reads an import again from time to time, and tells its node when the content is another.
///
/// A content that cannot be read makes the node unhealthy; what was imported before stays in use.
struct ImportWatcher: Sendable {
    let record: NodeRecord
    let loader: ImportLoader
    let services: EngineServices
    let log: Log
    let label: String

    /// Watches until cancelled.
    func run() async throws {
        try await record.importSource.whileCurrent({ $0 }) { source in
            guard let source, let interval = source.arguments.interval else { return try await waitForCancellation() }
            while true {
                try await services.clock.sleep(for: interval)
                await look(source)
            }
        }
    }

    private func look(_ source: ImportedModule.Source) async {
        do {
            let module = try await loader.load(source.arguments, label: label, modulePath: source.modulePath)
            record.evaluated(.healthy("content updated"))
            let isNewer = record.importSource.current == source && module.digest != record.imported?.digest
            if isNewer { record.imported(module) }
        } catch {
            record.evaluated(.unhealthy("\(error)"))
            log.warn("failed to read import", error, [.nodeID: record.globalID])
        }
    }
}
