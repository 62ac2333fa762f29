import AlloySyntax
import ComponentKit
import Essentials
import Runtime
import Telemetry

/// Pieces of JSON text.
enum JSONText {
    /// A JSON string.
    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case "<", ">", "&", "\u{2028}", "\u{2029}": out += escape(scalar)
            default: if scalar.value < 0x20 { out += escape(scalar) } else { out.unicodeScalars.append(scalar) }
            }
        }
        return out + "\""
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// A JSON array of strings.
    static func array(_ texts: [String]) -> String { "[" + texts.map(quoted).joined(separator: ",") + "]" }
}

/// Components in the JSON of Alloy's web interface.
enum ComponentJSON {
    /// All components without their values.
    static func list(_ components: [ComponentSnapshot]) -> [UInt8] {
        Array(("[" + components.map { "{\(fields($0))}" }.joined(separator: ",") + "]").utf8)
    }

    /// One component with arguments, exports and debug info.
    static func detail(_ component: ComponentSnapshot) -> [UInt8] {
        var text = "{" + fields(component)
        text += ",\"arguments\":" + AlloyJSON.text(of: component.arguments, includingDefaults: true)
        text += ",\"exports\":" + AlloyJSON.text(of: component.exports, includingDefaults: true)
        text += ",\"debugInfo\":" + AlloyJSON.text(of: component.debugInfo, includingDefaults: true)
        return Array((text + "}").utf8)
    }

    private static func fields(_ component: ComponentSnapshot) -> String {
        var parts: [String] = [
            "\"name\":\(JSONText.quoted(component.name))",
            "\"type\":\"block\"",
            "\"localID\":\(JSONText.quoted(component.localID))",
            "\"moduleID\":\(JSONText.quoted(component.moduleID))",
        ]
        if !component.label.isEmpty { parts.append("\"label\":\(JSONText.quoted(component.label))") }
        parts.append("\"referencesTo\":\(JSONText.array(component.referencesTo))")
        parts.append("\"referencedBy\":\(JSONText.array(component.referencedBy))")
        parts.append("\"dataFlowEdgesTo\":\(JSONText.array(component.dataFlowsTo))")
        parts.append(
            "\"health\":{\"state\":\"\(component.health.state.rawValue)\",\"message\":\(JSONText.quoted(component.health.message)),\"updatedTime\":\"\(LogTime.text(component.healthTime))\"}"
        )
        parts.append("\"original\":\"\"")
        if let start = component.startTime { parts.append("\"startTime\":\"\(LogTime.text(start))\"") }
        if !component.moduleIDs.isEmpty { parts.append("\"createdModuleIDs\":\(JSONText.array(component.moduleIDs))") }
        parts.append("\"liveDebuggingEnabled\":\(component.isLiveDebuggingEnabled)")
        return parts.joined(separator: ",")
    }
}

/// The delivery ledger as JSON: one object per component.
enum LedgerJSON {
    static func text(_ statements: [LedgerStatement]) -> [UInt8] {
        Array(("[" + statements.map(object).joined(separator: ",") + "]").utf8)
    }

    /// One component's books.
    static func object(_ statement: LedgerStatement) -> String {
        let dropped = statement.dropped.map {
            "{\"reason\":\(JSONText.quoted($0.reason.name)),\"rule\":\(JSONText.quoted($0.rule)),\"items\":\($0.items)}"
        }
        let refused = statement.refused.map { "{\"reason\":\(JSONText.quoted($0.reason.name)),\"items\":\($0.items)}" }
        let held = statement.held.map { "{\"buffer\":\(JSONText.quoted($0.name)),\"items\":\($0.items)}" }
        let edges = statement.edges.map { edge in
            let refusals = edge.refused.map { "{\"reason\":\(JSONText.quoted($0.reason.name)),\"items\":\($0.items)}" }
            let drops = edge.dropped.map { "{\"reason\":\(JSONText.quoted($0.reason.name)),\"items\":\($0.items)}" }
            return "{\"to\":\(JSONText.quoted(edge.to)),\"signal\":\"\(edge.signal.rawValue)\","
                + "\"accepted\":\(edge.accepted),\"bytes\":\(edge.bytes),\"batches\":\(edge.batches),"
                + "\"refused\":[\(refusals.joined(separator: ","))],\"dropped\":[\(drops.joined(separator: ","))]}"
        }
        return "{\"componentID\":\(JSONText.quoted(statement.componentID)),\"in\":\(statement.incoming),"
            + "\"out\":\(statement.outgoing),\"restored\":\(statement.restored),"
            + "\"created\":\(statement.created),\"merged\":\(statement.merged),"
            + "\"unaccounted\":\(statement.unaccounted),\"held\":[\(held.joined(separator: ","))],"
            + "\"dropped\":[\(dropped.joined(separator: ","))],\"refused\":[\(refused.joined(separator: ","))],"
            + "\"edges\":[\(edges.joined(separator: ","))]}"
    }
}

/// The memory budget as JSON: the whole and every account.
enum MemoryJSON {
    static func text(_ budget: MemoryBudget) -> [UInt8] {
        let accounts = budget.holdings.map { "{\"name\":\(JSONText.quoted($0.name)),\"used\":\($0.held.bytes)}" }
        let minimums = budget.minimums.map { "{\"name\":\(JSONText.quoted($0.name)),\"bytes\":\($0.bytes.bytes)}" }
        let pressure =
            switch budget.pressure {
            case .normal: "normal"
            case .high: "high"
            case .exhausted: "exhausted"
            }
        return Array(
            ("{\"limit\":\(budget.limit.bytes),\"used\":\(budget.usage.bytes),\"pressure\":\"\(pressure)\","
                + "\"accounts\":[\(accounts.joined(separator: ","))],"
                + "\"minimums\":[\(minimums.joined(separator: ","))]}").utf8)
    }
}
