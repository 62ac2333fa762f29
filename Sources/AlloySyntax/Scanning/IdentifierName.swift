/// What can be a name in a configuration.
public enum IdentifierName {
    /// Whether `name` can stand as an identifier: a letter or `_`, then letters, digits and `_`, and not a keyword.
    public static func isValid(_ name: String) -> Bool {
        guard let first = name.unicodeScalars.first, first.isAlloyLetter else { return false }
        guard name.unicodeScalars.allSatisfy({ $0.isAlloyLetter || $0.isAlloyDigit }) else { return false }
        return name != "true" && name != "false" && name != "null"
    }

    /// The name with everything that may not stand in an identifier replaced by `_`; `nil` for an empty name.
    ///
    /// Different names can give the same result. A keyword gets a leading `_`.
    public static func sanitized(_ name: String) -> String? {
        guard let first = name.unicodeScalars.first else { return nil }
        if isValid(name) { return name }
        var result = String.UnicodeScalarView()
        if first.isAlloyDigit { result.append("_") }
        for scalar in name.unicodeScalars {
            result.append(scalar.isAlloyLetter || scalar.isAlloyDigit ? scalar : "_")
        }
        let text = String(result)
        return isValid(text) ? text : "_" + text
    }
}
