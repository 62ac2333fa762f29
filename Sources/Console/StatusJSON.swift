import AlloySyntax
import ComponentKit
import Essentials
import Glibc
import Runtime
import SelfMetrics

/// The process and its configuration in the JSON of the console.
enum StatusJSON {
    /// Version, flags, CPU and memory.
    static func process(_ settings: ConsoleServer.Settings, _ services: EngineServices) -> String {
        var values: [String: Double] = [:]
        for family in services.metrics.collect() where family.name.hasPrefix("process_") {
            values[family.name] = family.samples.first?.value
        }
        func number(_ name: String) -> String {
            guard let value = values[name], value.isFinite else { return "null" }
            return "\(value)"
        }
        let holdings = services.budget.holdings.prefix(200).map {
            "{\"name\":\(JSONText.quoted($0.name)),\"bytes\":\($0.held.bytes)}"
        }
        let flags = settings.flags.map {
            "{\"name\":\(JSONText.quoted($0.name)),\"value\":\(JSONText.quoted($0.value))}"
        }
        return "{\"version\":\(JSONText.quoted(settings.version)),\"host\":\(JSONText.quoted(HostName.current)),"
            + "\"pid\":\(getpid()),\"time\":\(services.clock.wallMilliseconds),"
            + "\"startSeconds\":\(number("process_start_time_seconds")),"
            + "\"cpuSeconds\":\(number("process_cpu_seconds_total")),"
            + "\"cores\":\(max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))),"
            + "\"residentBytes\":\(number("process_resident_memory_bytes")),"
            + "\"openFiles\":\(number("process_open_fds")),\"maximumFiles\":\(number("process_max_fds")),"
            + "\(PipelineJSON.memory(services.budget)),\"pressure\":\"\(services.budget.pressure)\","
            + "\"holdings\":[\(holdings.joined(separator: ","))],"
            + "\"listenAddress\":\(JSONText.quoted(services.listenAddress)),"
            + "\"supportBundle\":\(settings.servesSupportBundle),\"liveDebugging\":\(services.liveData.isEnabled),"
            + "\"flags\":[\(flags.joined(separator: ","))]}"
    }

    /// What was loaded last and what was wrong with it. Texts of files stay out: they may hold secrets.
    static func configuration(_ report: LoadReport?, digest: String?) -> String {
        guard let report else { return "null" }
        let files = report.files.map {
            "{\"name\":\(JSONText.quoted($0.name)),\"bytes\":\($0.bytes),\"lines\":\($0.lines)}"
        }
        let diagnostics = report.diagnostics.items.map(diagnostic)
        return "{\"time\":\(report.time),\"applied\":\(report.applied),"
            + "\"digest\":\(JSONText.quoted(report.digest)),\"running\":\(digest.map(JSONText.quoted) ?? "null"),"
            + "\"problem\":\(report.problem.map(JSONText.quoted) ?? "null"),"
            + "\"files\":[\(files.joined(separator: ","))],\"diagnostics\":[\(diagnostics.joined(separator: ","))]}"
    }

    private static func diagnostic(_ item: Diagnostic) -> String {
        var text =
            "{\"severity\":\"\(item.severity == .error ? "error" : "warning")\","
            + "\"message\":\(JSONText.quoted(item.message)),\"notes\":\(JSONText.array(item.notes))"
        if item.range.isKnown {
            let start = item.range.startPosition
            text += ",\"file\":\(JSONText.quoted(start.fileName)),\"line\":\(start.line),\"column\":\(start.column)"
        }
        return text + "}"
    }
}
