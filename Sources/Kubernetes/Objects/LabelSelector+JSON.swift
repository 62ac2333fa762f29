package import TextFormats

extension LabelSelector {
    /// Reads a `LabelSelector` of an object's specification; nothing selects everything.
    package init(json: JSONValue?) throws(TextFormatError) {
        var labels: [String: String] = [:]
        for (key, value) in json?["matchLabels"]?.objectValue ?? JSONObject() { labels[key] = value.stringValue ?? "" }
        var requirements: [Requirement] = []
        for expression in json?["matchExpressions"]?.arrayValue ?? [] {
            let word = expression["operator"]?.stringValue ?? ""
            guard let key = expression["key"]?.stringValue, let operation = Operation(rawValue: word) else {
                throw TextFormatError("\"\(word)\" is not a valid label selector operator")
            }
            let values = (expression["values"]?.arrayValue ?? []).compactMap(\.stringValue)
            requirements.append(Requirement(key: key, operation: operation, values: values))
        }
        self.init(labels: labels, requirements: requirements)
    }
}
