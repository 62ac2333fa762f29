import AlloySyntax
import ComponentKit
import Essentials
import Runtime
import SelfMetrics
import Telemetry

/// The whole pipeline in the JSON of the console: what there is, and what its books say.
enum PipelineJSON {
    /// What changes with the configuration and with health: every component of every module.
    static func structure(_ runtime: Runtime) -> String {
        "[" + runtime.allComponents().map(component).joined(separator: ",") + "]"
    }

    private static func component(_ component: ComponentSnapshot) -> String {
        func full(_ ids: [String]) -> String {
            let module = component.moduleID
            return JSONText.array(module.isEmpty ? ids : ids.map { module + "/" + $0 })
        }
        return "{\"id\":\(JSONText.quoted(component.id)),\"module\":\(JSONText.quoted(component.moduleID)),"
            + "\"name\":\(JSONText.quoted(component.name)),\"label\":\(JSONText.quoted(component.label)),"
            + "\"builtin\":\(component.isBuiltin),\"health\":\"\(component.health.state.rawValue)\","
            + "\"message\":\(JSONText.quoted(component.health.message)),\"since\":\(component.healthTime / 1_000_000),"
            + "\"started\":\(component.startTime.map { "\($0 / 1_000_000)" } ?? "null"),"
            + "\"references\":\(full(component.referencesTo)),\"referencedBy\":\(full(component.referencedBy)),"
            + "\"flowsTo\":\(full(component.dataFlowsTo)),\"modules\":\(JSONText.array(component.moduleIDs)),"
            + "\"live\":\(component.isLiveDebuggingEnabled)}"
    }

    /// One line of books per component, by ID.
    static func books(_ runtime: Runtime) -> [(id: String, text: String)] {
        runtime.ledger().map { ($0.componentID, LedgerJSON.object($0)) }
    }

    /// Everything at once.
    static func snapshot(_ runtime: Runtime, services: EngineServices) -> String {
        let books = books(runtime).map(\.text).joined(separator: ",")
        return "{\"time\":\(services.clock.wallMilliseconds),\(memory(services.budget)),"
            + "\"components\":\(structure(runtime)),\"ledger\":[\(books)]}"
    }

    /// The budget's two numbers, as members of an object.
    static func memory(_ budget: MemoryBudget) -> String {
        "\"memoryLimit\":\(budget.limit.bytes),\"memoryUsed\":\(budget.usage.bytes)"
    }

    /// How the health of a component has changed, the latest first.
    static func health(of component: ComponentSnapshot) -> String {
        let changes = component.healthHistory.reversed().map { change in
            "{\"time\":\(change.time / 1_000_000),\"state\":\"\(change.health.state.rawValue)\","
                + "\"message\":\(JSONText.quoted(change.health.message))}"
        }
        return "[" + changes.joined(separator: ",") + "]"
    }

    /// The metrics a component keeps about itself.
    static func metrics(of component: ComponentSnapshot, _ services: EngineServices) -> String {
        let path = "/" + component.moduleID
        let families = services.metrics.collect().compactMap { family -> String? in
            let samples = family.samples.filter { sample in
                sample.labels.contains { $0.name == "component_id" && $0.value == component.localID }
                    && sample.labels.contains { $0.name == "component_path" && $0.value == path }
            }
            if samples.isEmpty { return nil }
            let texts = samples.map { sample in
                let labels = sample.labels.filter { $0.name != "component_id" && $0.name != "component_path" }
                    .map { "\(JSONText.quoted($0.name)):\(JSONText.quoted($0.value))" }
                return "{\"suffix\":\(JSONText.quoted(sample.suffix)),\"labels\":{\(labels.joined(separator: ","))},"
                    + "\"value\":\(sample.value.isFinite ? "\(sample.value)" : "null")}"
            }
            return "{\"name\":\(JSONText.quoted(family.name)),\"help\":\(JSONText.quoted(family.help)),"
                + "\"kind\":\"\(family.kind.rawValue)\",\"samples\":[\(texts.joined(separator: ","))]}"
        }
        return "{\"time\":\(services.clock.wallMilliseconds),\"families\":[\(families.joined(separator: ","))]}"
    }
}
