package import TextFormats

/// The answer to a question about an item for people to read, made from its JSON, wherever that came from.
package enum ExplainText {
    /// The lines of an answer.
    package static func lines(_ answer: JSONValue) -> [String] {
        var lines: [String] = []
        for stop in answer["stops"]?.arrayValue ?? [] {
            add(stop, to: &lines)
            lines.append("")
        }
        for note in answer["notes"]?.arrayValue ?? [] { lines.append("note: " + printable(note.stringValue ?? "")) }
        lines.append("verdict: " + verdict(answer))
        return lines
    }

    private static func verdict(_ answer: JSONValue) -> String {
        let word = answer["verdict"]?.stringValue ?? "unknown"
        let stops = answer["stops"]?.arrayValue ?? []
        var ends: [String] = []
        for stop in stops {
            let component = stop["component"]?.stringValue ?? ""
            for result in stop["results"]?.arrayValue ?? [] where result["verdict"]?.stringValue == word {
                ends.append("\(component): \(printable(result["destination"]?.stringValue ?? ""))")
            }
            guard word == "dropped", (stop["results"]?.arrayValue ?? []).isEmpty else { continue }
            let last = stop["steps"]?.arrayValue?.last { $0["outcome"]?.stringValue == "dropped" }
            ends.append("\(component): \(printable(last?["title"]?.stringValue ?? "nothing comes out"))")
        }
        return ends.isEmpty ? word : word + " - " + ends.joined(separator: "; ")
    }

    private static func add(_ stop: JSONValue, to lines: inout [String]) {
        let number = stop["number"]?.intValue ?? 0
        var head = "\(number). \(printable(stop["component"]?.stringValue ?? ""))"
        if let from = stop["from"]?.intValue { head += " (from \(from))" }
        lines.append(head + place(stop))
        if stop["from"]?.intValue == nil { lines.append("   " + text(of: stop["item"])) }
        for step in stop["steps"]?.arrayValue ?? [] { add(step: step, to: &lines) }
        for note in stop["notes"]?.arrayValue ?? [] { lines.append("   note: " + printable(note.stringValue ?? "")) }
        let results = stop["results"]?.arrayValue ?? []
        if results.isEmpty { lines.append("   => dropped") }
        for result in results {
            let receivers = (result["to"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ", ")
            let destination = printable(result["destination"]?.stringValue ?? "")
            let word = result["verdict"]?.stringValue ?? ""
            lines.append("   => " + (receivers.isEmpty ? "\(word): \(destination)" : "to \(printable(receivers))"))
            // What goes on is told by the steps; what ends is shown whole.
            if receivers.isEmpty { lines.append("      " + text(of: result["item"])) }
        }
    }

    private static func add(step: JSONValue, to lines: inout [String]) {
        let outcome = step["outcome"]?.stringValue ?? ""
        let detail = printable(step["detail"]?.stringValue ?? "")
        let padded = outcome.padded(to: 9)
        lines.append(
            "   \(padded) \(printable(step["title"]?.stringValue ?? ""))"
                + (detail.isEmpty ? "" : ": " + detail) + place(step))
        for found in step["found"]?.arrayValue ?? [] {
            lines.append(
                "             found \(printable(found["name"]?.stringValue ?? "")) = "
                    + quoted(found["value"]?.stringValue ?? ""))
        }
        let changes = step["changes"]?.arrayValue ?? []
        if changes.contains(where: { $0["field"]?.stringValue == "kind" }) {
            // Another kind of item has little in common with the one before.
            return lines.append("             now " + text(of: step["after"]))
        }
        for change in changes {
            let field = change["field"]?.stringValue ?? ""
            let name = printable(change["name"]?.stringValue ?? "")
            let subject = name.isEmpty ? field : field == "label" ? name : "\(field) \(name)"
            if let before = change["before"]?.stringValue {
                lines.append("             - \(subject) = \(quoted(before))")
            }
            if let after = change["after"]?.stringValue { lines.append("             + \(subject) = \(quoted(after))") }
        }
    }

    private static func place(_ value: JSONValue) -> String {
        guard let file = value["file"]?.stringValue, let line = value["line"]?.intValue, line > 0 else { return "" }
        return "  [\(printable(file)):\(line)]"
    }

    private static func text(of item: JSONValue?) -> String {
        guard let item else { return "" }
        let labels = (item["labels"]?.objectValue).map { object in
            object.map { "\(printable($0.key))=\(quoted($0.value.stringValue ?? ""))" }.joined(separator: ", ")
        }
        var text = "\(item["kind"]?.stringValue ?? "") {\(labels ?? "")}"
        if let line = item["line"]?.stringValue { text += " \(quoted(line))" }
        if let metadata = item["metadata"]?.objectValue, metadata.count > 0 {
            let pairs = metadata.map { "\(printable($0.key))=\(quoted($0.value.stringValue ?? ""))" }
            text += " metadata {\(pairs.joined(separator: ", "))}"
        }
        return text
    }

    private static func quoted(_ text: String) -> String { JSONText.quoted(text) }

    /// Nothing in data or configuration moves the cursor or changes the terminal.
    private static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? " " : $0 }))
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        count >= width ? self : self + String(repeating: " ", count: width - count)
    }
}
