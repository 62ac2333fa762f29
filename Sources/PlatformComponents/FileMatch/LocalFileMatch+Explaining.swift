package import ComponentKit
import Essentials
import Glibc
import Telemetry

extension LocalFileMatch: Explaining {
    /// Of a file, which targets' patterns it matches; of a target, the files its pattern finds now.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        var settings = arguments.current
        switch item.kind {
        case .target:
            settings.pathTargets = [Target(own: item.labels)]
            let found = FileSearch(settings, now: context.clock.wallNanoseconds).run()
            var explanation = Explanation(notes: found.problems)
            if found.targets.isEmpty {
                explanation.steps.append(
                    ExplainedStep(
                        "search", .dropped, "no file matches \(item.labels["__path__"] ?? "") now", before: item,
                        after: nil))
            }
            // As many as people can look at.
            for target in found.targets.prefix(Self.explainedFiles) {
                let left = item.with(labels: target.labels)
                explanation.steps.append(
                    ExplainedStep("search", .changed, "found", before: item, after: left))
                explanation.results.append(Explanation.Result(left, .targets("targets")))
            }
            if found.targets.count > Self.explainedFiles {
                explanation.notes.append("\(found.targets.count - Self.explainedFiles) more files match")
            }
            return explanation
        case .file:
            guard let path = item.labels["__path__"] else { return nil }
            return targets(of: item, path, settings)
        default: return nil
        }
    }

    private static let explainedFiles = 20

    private func targets(of item: ExplainedItem, _ path: String, _ settings: Arguments) -> Explanation? {
        if settings.pathTargets.isEmpty { return nil }
        var explanation = Explanation()
        let search = FileSearch(settings, now: context.clock.wallNanoseconds)
        var status = stat()
        let isThere = stat(path, &status) == 0
        for (index, target) in settings.pathTargets.enumerated() {
            let given = item.with(labels: target.labels)
            let pattern = target["__path__"] ?? ""
            var refusal = search.refusal(of: path, by: target)
            if refusal == nil, isThere, search.isTooOld(status) {
                refusal = "\(path) has not changed for longer than ignore_older_than"
            }
            let title = "target \(index + 1): \(pattern)"
            if let refusal {
                explanation.steps.append(ExplainedStep(title, .unchanged, refusal, before: given, after: given))
                continue
            }
            var own = LabelSetBuilder(target.labels)
            own.set("__path__", to: path)
            let left = item.with(labels: own.finish()).asTarget
            explanation.steps.append(
                ExplainedStep(
                    title, .changed, "\(path) matches" + (isThere ? "" : "; there is no such file now"), before: given,
                    after: left))
            explanation.results.append(Explanation.Result(left, .targets("targets")))
        }
        return explanation
    }
}

extension ExplainedItem {
    fileprivate var asTarget: ExplainedItem {
        var copy = self
        copy.kind = .target
        return copy
    }
}

extension FileSearch {
    /// Why a target's patterns do not choose `path`; nil when they do.
    func refusal(of path: String, by target: Target) -> String? {
        guard let pattern = target["__path__"], !pattern.isEmpty else { return "it has no label __path__" }
        do throws(GlobError) {
            if try !Glob(pattern).matches(path) { return "\(path) does not match" }
            if let text = target["__path_exclude__"], !text.isEmpty, try Glob(text).matches(path) {
                return "\(path) is excluded by \(text)"
            }
            return nil
        } catch {
            return "\(error)"
        }
    }
}
