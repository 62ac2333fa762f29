import ComponentKit
import Runtime
import Telemetry

/// One page without scripts: every component with its health and its books.
enum StatusPage {
    static func html(_ runtime: Runtime, prefix: String) -> [UInt8] {
        let books = Dictionary(runtime.ledger().map { ($0.componentID, $0) }, uniquingKeysWith: { $1 })
        let rows = runtime.allComponents().map { component -> String in
            let statement = books[component.id]
            return """
                <tr class="\(component.health.state.rawValue)">
                <td><a href="\(escaped(prefix))api/v0/web/components/\(escaped(component.id))">\(escaped(component.id))</a></td>
                <td>\(component.health.state.rawValue)</td><td>\(escaped(component.health.message))</td>
                <td>\(statement?.incoming ?? 0)</td><td>\(statement?.outgoing ?? 0)</td>
                <td>\(statement?.droppedItems ?? 0)</td><td>\(statement?.heldItems ?? 0)</td></tr>
                """
        }
        let page = """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><title>Invar</title>
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <style>
            :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
            body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
            table { border-collapse: collapse; width: 100%; }
            th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
            td:nth-child(n+4) { text-align: right; font-variant-numeric: tabular-nums; }
            .unhealthy td:nth-child(2), .exited td:nth-child(2) { color: #c22; font-weight: 600; }
            </style></head><body>
            <h1>Invar</h1>
            <p><a href="/metrics">metrics</a> &middot; <a href="\(escaped(prefix))api/v0/web/ledger">ledger</a> &middot;
            <a href="/-/healthy">health</a></p>
            <table><thead><tr><th>Component</th><th>Health</th><th>Message</th><th>In</th><th>Out</th><th>Dropped</th>
            <th>Held</th></tr></thead><tbody>
            \(rows.joined(separator: "\n"))
            </tbody></table></body></html>
            """
        return Array(page.utf8)
    }

    private static func escaped(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default: out.append(character)
            }
        }
        return out
    }
}
