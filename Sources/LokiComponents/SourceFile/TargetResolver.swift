import ComponentKit
import Essentials
import LogSources
import Storage
import Telemetry
import Wire

/// A file to read, with the labels its target gives it.
struct ResolvedFile: Sendable, Equatable {
    var key: PositionKey
    /// The target's labels and the file's name.
    var labels: LabelSet
}

/// Turns targets into files. Blocks when it has patterns to search for.
enum TargetResolver {
    /// The files of `targets`, each key once, and what is wrong with some of the targets.
    ///
    /// With `match` enabled a path is a pattern and `__path_exclude__` another one; paths found are absolute.
    static func resolve(
        _ targets: [Target], match: LokiSourceFile.FileMatch, isKnown: (PositionKey) -> Bool, now: Int64
    ) -> (files: [ResolvedFile], problems: [String]) {
        var files: [ResolvedFile] = []
        var problems: [String] = []
        var seen: Set<PositionKey> = []
        for target in targets {
            let (own, text) = publicLabels(of: target)
            let path = target["__path__"] ?? ""
            guard match.isEnabled else {
                add(path, own, text)
                continue
            }
            do throws(PathPattern.Invalid) {
                let exclude = try target["__path_exclude__"].map { text throws(PathPattern.Invalid) in
                    try PathPattern(text)
                }
                for found in try PathPattern(path).paths() {
                    if let exclude, exclude.matches(found) { continue }
                    let absolute = absolutePath(found)
                    guard isWanted(absolute, text) else { continue }
                    add(absolute, own, text)
                }
            } catch {
                problems.append(error.description)
            }
        }
        return (files, problems)

        func isWanted(_ path: String, _ labels: String) -> Bool {
            if isKnown(PositionKey(path: path, labels: labels)) { return true }
            guard let status = try? OpenFile.status(of: path), status.isRegular else { return false }
            guard match.ignoreOlderThan > .zero else { return true }
            return status.modified >= now &- match.ignoreOlderThan.nanoseconds
        }

        func add(_ path: String, _ labels: LabelSet, _ text: String) {
            let key = PositionKey(path: path, labels: text)
            guard seen.insert(key).inserted else { return }
            var builder = LabelSetBuilder(labels)
            builder.set("filename", to: path)
            files.append(ResolvedFile(key: key, labels: builder.finish()))
        }
    }

    /// The labels of `target` that do not begin with `__`, and their text in positions files.
    static func publicLabels(of target: Target) -> (labels: LabelSet, text: String) {
        var builder = LabelSetBuilder(target.labels)
        builder.filter { name, _ in !LokiLabelText.isInternal(name) }
        let labels = builder.finish()
        return (labels, LokiLabelText.text(labels))
    }

    private static func absolutePath(_ path: String) -> String {
        path.hasPrefix("/") ? path : PathPattern.workingDirectory + "/" + path
    }
}
