/// Where an `import.*` block takes its module from.
enum ImportKind: String, Sendable, CaseIterable {
    case file, string, http, git

    init?(blockName: String) {
        guard blockName.hasPrefix("import.") else { return nil }
        self.init(rawValue: String(blockName.dropFirst("import.".count)))
    }

    var blockName: String { "import." + rawValue }

    /// Why the block cannot be used; nil when it can.
    var refusal: String? {
        switch self {
        case .file, .string, .http: nil
        case .git: "block \"\(blockName)\" is not supported"
        }
    }
}
