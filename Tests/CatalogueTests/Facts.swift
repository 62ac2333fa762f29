import AlloySyntax
import ComponentKit
import DiscoveryComponents
import Essentials
import LokiComponents
import OtelcolComponents
import PlatformComponents
import PrometheusComponents
import PrometheusExporters
import TextFormats

/// Every component of every family that Alloy has; `InvarComponents` holds those it does not have.
let allComponents: [any Component.Type] =
    discoveryComponents + lokiComponents + otelcolComponents + platformComponents + prometheusComponents
    + prometheusExporters

/// The checked-in facts about what Alloy accepts and exports.
enum Facts {
    private static var directory: String {
        let file = #filePath
        return file[..<(file.lastIndex(of: "/") ?? file.endIndex)] + "/Facts"
    }

    static func load(_ name: String) throws -> JSONValue {
        try JSONValue(parsing: try Files.read("\(directory)/\(name).json"))
    }

    /// What is known about a component; nil when nothing is.
    static func component(_ name: String) throws -> JSONValue? {
        guard Files.exists("\(directory)/\(name).json") else { return nil }
        return try load(name)
    }

    static func differences() throws -> [AllowedDifference] {
        (try load("Differences").arrayValue ?? []).map { entry in
            AllowedDifference(
                component: entry["component"]?.stringValue ?? "", path: entry["path"]?.stringValue ?? "",
                what: entry["what"]?.stringValue ?? "", reason: entry["reason"]?.stringValue ?? "")
        }
    }
}

extension JSONValue {
    func text(_ key: String) -> String? { self[key]?.stringValue }
    func flag(_ key: String) -> Bool { self[key]?.boolValue ?? false }
    func list(_ key: String) -> [JSONValue] { self[key]?.arrayValue ?? [] }
}

/// A difference that is wanted: an entry of `Facts/Differences.json`.
struct AllowedDifference: Hashable, CustomStringConvertible {
    var component: String
    var path: String
    var what: String
    var reason: String

    var description: String { "\(component) \(path): \(what) (\(reason))" }
}

/// Something a component declares otherwise than the facts say.
struct Difference: CustomStringConvertible {
    var component: String
    /// The blocks and the argument, joined with ` > `; exports are below `exports`; empty for the component itself.
    var path: String
    /// The property that differs, `missing` when only the facts have it, `extra` when only the component does.
    var what: String
    var declared: String
    var known: String

    var description: String { "\(component) | \(path) | \(what): declared \(declared), facts \(known)" }

    func isAllowed(by entry: AllowedDifference) -> Bool {
        entry.component == component && entry.path == path && entry.what == what
    }
}
