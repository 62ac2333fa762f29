import Transport

/// Builds paths and queries of API requests.
package enum APIPath {
    /// A name as one segment of a path.
    package static func segment(_ name: String) -> String { Percent.encode(name) }

    /// `items` as a query, empty values left out; nil when nothing is left.
    static func query(_ items: [(name: String, value: String)]) -> String? {
        let given = items.filter { !$0.value.isEmpty }
        return given.isEmpty ? nil : Percent.form(given)
    }
}
