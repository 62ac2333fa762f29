import Essentials
import Foundation

/// A directory for one test's files, removed with it.
final class TemporaryDirectory {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "/invar-loki-\(UUID().uuidString)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    subscript(name: String) -> String { path + "/" + name }

    func write(_ text: String, to name: String) { write(Array(text.utf8), to: name) }

    func write(_ bytes: [UInt8], to name: String) {
        // In place, so that the file stays the same one.
        guard let file = fopen(self[name], "w") else { return }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }

    func append(_ text: String, to name: String) { append(Array(text.utf8), to: name) }

    func append(_ bytes: [UInt8], to name: String) {
        guard let file = fopen(self[name], "a") else { return }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }

    func move(_ name: String, to other: String) { rename(self[name], self[other]) }
    func remove(_ name: String) { unlink(self[name]) }
}
