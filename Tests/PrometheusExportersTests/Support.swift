import ComponentKit
import Foundation
import TestKit

@testable import PrometheusExporters

/// One series of an exposition.
struct Series: Hashable {
    var name: String
    /// `{a="b"}` with sorted names and without empty values; empty when there are none.
    var labels: String
}

/// An exposition taken apart without the code under test.
struct Exposed {
    var types: [String: String] = [:]
    var helps: [String: String] = [:]
    var values: [Series: Double] = [:]
    var duplicates: [Series] = []
    /// The families in the order in which they appear.
    var order: [String] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# ") {
                let words = line.split(separator: " ", maxSplits: 3)
                if words[1] == "TYPE" {
                    types[String(words[2])] = String(words[3])
                    order.append(String(words[2]))
                } else {
                    helps[String(words[2])] = words.count > 3 ? String(words[3]) : ""
                }
                continue
            }
            guard let space = line.lastIndex(of: " ") else { continue }
            let head = line[..<space]
            let brace = head.firstIndex(of: "{") ?? head.endIndex
            var labels = ""
            if brace < head.endIndex {
                let inner = head[head.index(after: brace)...].dropLast()
                let parts = Self.split(String(inner)).filter { !$0.hasSuffix("=\"\"") }.sorted()
                labels = parts.isEmpty ? "" : "{" + parts.joined(separator: ",") + "}"
            }
            let series = Series(name: String(head[..<brace]), labels: labels)
            if values[series] != nil { duplicates.append(series) }
            values[series] = Double(line[line.index(after: space)...]) ?? .nan
        }
    }

    /// At commas outside quotes.
    private static func split(_ text: String) -> [String] {
        var parts: [String] = []
        var part = ""
        var quoted = false
        var escaped = false
        for character in text {
            if escaped {
                escaped = false
            } else if character == "\\" {
                escaped = true
            } else if character == "\"" {
                quoted.toggle()
            } else if character == ",", !quoted {
                parts.append(part)
                part = ""
                continue
            }
            part.append(character)
        }
        return part.isEmpty ? parts : parts + [part]
    }

    subscript(_ name: String, _ labels: String = "") -> Double? { values[Series(name: name, labels: labels)] }

    func names(withPrefix prefix: String = "") -> Set<String> {
        Set(values.keys.map(\.name).filter { $0.hasPrefix(prefix) })
    }
}

extension ComponentHarness {
    /// What the component serves under `path`.
    func get(_ path: String = "/metrics") throws -> (response: ComponentResponse, text: String) {
        guard let handler = services.handlers.handler(for: instance.componentID) else {
            return (ComponentResponse(status: 0, body: []), "")
        }
        let response = try run { await handler(ComponentRequest(path: path)) }
        return (response, String(decoding: response.body, as: UTF8.self))
    }

    func scrape() throws -> Exposed { Exposed(try get().text) }
}

/// A tree of files that stands for `/proc`, `/sys` or the root.
final class FakeTree {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "node-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws { try write(name, Data(text.utf8)) }

    func write(_ name: String, _ data: Data) throws {
        let file = path + "/" + name
        let parent = String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)])
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        try data.write(to: URL(fileURLWithPath: file))
    }

    func link(_ name: String, to target: String) throws {
        let file = path + "/" + name
        let parent = String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)])
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: target)
    }

    /// Arguments that make the exporter look here for everything.
    var arguments: String {
        """
        procfs_path = "\(path)/proc"
        sysfs_path = "\(path)/sys"
        rootfs_path = "\(path)/root"
        udev_data_path = "\(path)/udev"
        """
    }
}
