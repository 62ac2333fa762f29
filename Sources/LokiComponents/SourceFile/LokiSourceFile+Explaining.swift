package import ComponentKit
import Essentials
import LogSources
import Storage
import Telemetry

extension LokiSourceFile: Explaining {
    /// Of a target, the files it names and the labels of their lines; of a file, which target it is read for; of a log
    /// entry, nothing: it is taken as it was read.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let settings = arguments.current
        switch item.kind {
        case .log:
            return Explanation(
                results: [Explanation.Result(item, .receivers(settings.forwardTo.owners))],
                notes: ["taken as it is read from a file, with the labels given"])
        case .target: return files(of: item, settings)
        case .file: return targets(of: item, settings)
        default: return nil
        }
    }

    private func files(of item: ExplainedItem, _ settings: Arguments) -> Explanation {
        var explanation = Explanation()
        let path = item.labels["__path__"] ?? ""
        guard !path.isEmpty else {
            explanation.steps.append(
                ExplainedStep("target", .dropped, "it has no label __path__", before: item, after: nil))
            return explanation
        }
        let (files, problems) = TargetResolver.resolve(
            [Target(own: item.labels)], match: settings.fileMatch, isKnown: { _ in false },
            now: context.clock.wallNanoseconds)
        explanation.notes += problems
        if files.isEmpty {
            explanation.steps.append(
                ExplainedStep("target", .dropped, "no file matches \(path)", before: item, after: nil))
        }
        for file in files { explanation.read(file, as: item, settings.forwardTo.owners) }
        return explanation
    }

    private func targets(of item: ExplainedItem, _ settings: Arguments) -> Explanation? {
        guard let path = item.labels["__path__"] else { return nil }
        var explanation = Explanation()
        for (index, target) in settings.targets.enumerated() {
            let pattern = target["__path__"] ?? ""
            let given = item.with(labels: target.labels)
            let title = "target \(index + 1): \(pattern)"
            var detail: String?
            if settings.fileMatch.isEnabled {
                do throws(PathPattern.Invalid) {
                    if try !PathPattern(pattern).matches(path) { detail = "\(path) does not match" }
                    if let text = target["__path_exclude__"], try PathPattern(text).matches(path) {
                        detail = "\(path) is excluded by \(text)"
                    }
                } catch {
                    detail = error.description
                }
            } else if pattern != path {
                detail = "another file"
            }
            if let detail {
                explanation.steps.append(ExplainedStep(title, .unchanged, detail, before: given, after: given))
                continue
            }
            let (own, text) = TargetResolver.publicLabels(of: target)
            var builder = LabelSetBuilder(own)
            builder.set("filename", to: path)
            let file = ResolvedFile(key: PositionKey(path: path, labels: text), labels: builder.finish())
            explanation.read(file, as: given, settings.forwardTo.owners)
        }
        return explanation.results.isEmpty && settings.targets.isEmpty ? nil : explanation
    }
}

extension Explanation {
    /// Adds that a file is read for a target.
    fileprivate mutating func read(_ file: ResolvedFile, as target: ExplainedItem, _ receivers: [String]) {
        var entry = target.with(labels: file.labels)
        entry.kind = .log
        let isThere = (try? OpenFile.status(of: file.key.path))?.isRegular ?? false
        steps.append(
            ExplainedStep(
                "file", .changed, "reads \(file.key.path)" + (isThere ? "" : ", which is no file now"), before: target,
                after: entry))
        results.append(Result(entry, .receivers(receivers)))
    }
}
