import Telemetry
import Wire

/// Gives the streams of a push request the labels they go on with.
struct PushMapper: Sendable {
    /// Added to every stream, over labels of the same name.
    var labels: LabelSet
    var relabeling: Relabeling
    /// Set as `__tenant_id__` when not empty.
    var tenant: String

    /// Changes the streams of `batch`; entries of those that a rule drops, or that have no labels left, are taken out.
    /// Returns the number of entries taken out.
    func map(_ batch: inout LogBatch) -> Int {
        var builder = LabelSetBuilder()
        var isKept = [Bool](repeating: true, count: batch.streams.count)
        for index in batch.streams.indices {
            if let labels = map(batch.streams[index], &builder) {
                batch.streams[index] = labels
            } else {
                isKept[index] = false
            }
        }
        guard isKept.contains(false) else { return 0 }
        let before = batch.entries.count
        batch.entries.removeAll { !isKept[Int($0.stream)] }
        return before - batch.entries.count
    }

    private func map(_ stream: LabelSet, _ builder: inout LabelSetBuilder) -> LabelSet? {
        builder.reset(to: stream)
        labels.forEach { builder.set($0, to: $1) }
        guard relabeling.apply(to: &builder), !builder.isEmpty else { return nil }
        builder.filter { name, _ in !LokiLabelText.isInternal(name) }
        if !tenant.isEmpty { builder.set("__tenant_id__", to: tenant) }
        return builder.finish()
    }

    /// The tenant of a request's `X-Scope-OrgID`; empty when the header is missing, names several or is not valid, as in
    /// dskit's `tenant` package.
    static func tenant(of header: String?) -> String {
        guard let header, !header.isEmpty, header.utf8.count <= 150, header != ".", header != ".." else { return "" }
        let isValid = header.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            // ! - _ . * ' ( )
            case 0x21, 0x2D, 0x5F, 0x2E, 0x2A, 0x27, 0x28, 0x29: true
            default: false
            }
        }
        return isValid ? header : ""
    }
}
