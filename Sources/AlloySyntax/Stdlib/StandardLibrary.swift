import Glibc

/// Alloy's standard library: functions and constants that expressions may use by name.
///
/// Semantics agree with grafana/alloy `syntax/internal/stdlib`. Deviations: a secret given to `string.format` or
/// `encoding.to_json` makes the result a secret instead of exposing it; decoded bytes that are not UTF-8 are refused
/// instead of kept; `array.group_by` keeps the order in which the groups were met.
public struct StandardLibrary: Sendable {
    /// What the reference says about one identifier.
    public struct Entry: Sendable, Equatable {
        /// The full name, such as `array.concat`.
        public let name: String
        /// How settled it is.
        public let stability: Stability
        /// The older name that still works.
        public let deprecatedAlias: String?
        /// Whether it is called; constants are not.
        public let isFunction: Bool
    }

    /// The least settled identifiers a configuration may use.
    public let minimumStability: Stability

    /// The values by their first name: namespaces are objects.
    let root: [String: Value]

    /// Makes a library.
    ///
    /// - Parameters:
    ///   - minimumStability: less settled identifiers are refused where they are used.
    ///   - version: what `constants.version` says; without a leading `v` it gets one.
    ///   - hostname: what `constants.hostname` says; the machine's name when left out.
    ///   - environment: what `sys.env` reads; the process's environment when left out.
    public init(
        minimumStability: Stability = .generallyAvailable, version: String = "", hostname: String? = nil,
        environment: (@Sendable (String) -> String?)? = nil
    ) {
        self.minimumStability = minimumStability
        let readEnvironment = environment ?? { name in getenv(name).map { String(cString: $0) } }
        var functions = StringFunctions.all + EncodingFunctions.all + ArrayFunctions.all + ValueFunctions.all
        functions.append(
            Function("sys.env") { arguments throws(Function.Failure) in
                .string(readEnvironment(try arguments.strings(count: 1)[0]) ?? "")
            })

        var byName: [String: Value] = [
            "constants.hostname": .string(hostname ?? StandardLibrary.machineName()),
            "constants.os": .string(StandardLibrary.operatingSystem),
            "constants.arch": .string(StandardLibrary.architecture),
            "constants.version": .string(StandardLibrary.normalized(version: version)),
        ]
        for function in functions { byName[function.name] = .function(function) }

        var namespaces: [String: [String: Value]] = [:]
        var root: [String: Value] = [:]
        for (name, value) in byName {
            let parts = name.split(separator: ".")
            if parts.count == 2 {
                namespaces[String(parts[0]), default: [:]][String(parts[1])] = value
            } else {
                root[name] = value
            }
        }
        for (name, members) in namespaces { root[name] = .object(members) }
        for entry in StandardLibrary.entries {
            if let alias = entry.deprecatedAlias { root[alias] = byName[entry.name] }
        }
        self.root = root
    }

    /// Whether `name` is the first part of an identifier of the library.
    public func contains(_ name: String) -> Bool { root[name] != nil }

    /// What to use instead of a deprecated name; `nil` when the name is not deprecated.
    public static func replacement(forDeprecated name: String) -> String? {
        entries.first { $0.deprecatedAlias == name }?.name
    }

    /// Why the identifier with this full name may not be used; `nil` when it may, or when there is no such identifier.
    public func refusal(of name: String) -> String? {
        guard let entry = StandardLibrary.entries.first(where: { $0.name == name }) else { return nil }
        return entry.stability.refusal(of: name, minimum: minimumStability)
    }

    /// All identifiers, sorted by name.
    public static let entries: [Entry] = [
        entry("array.combine_maps", stability: .experimental),
        entry("array.concat", alias: "concat"),
        entry("array.group_by", stability: .experimental),
        entry("coalesce"),
        entry("constants.arch", isFunction: false),
        entry("constants.hostname", isFunction: false),
        entry("constants.os", isFunction: false),
        entry("constants.version", isFunction: false),
        entry("convert.nonsensitive", alias: "nonsensitive"),
        entry("encoding.from_URLbase64"),
        entry("encoding.from_base64", alias: "base64_decode"),
        entry("encoding.from_json", alias: "json_decode"),
        entry("encoding.from_yaml", alias: "yaml_decode"),
        entry("encoding.to_URLbase64"),
        entry("encoding.to_base64"),
        entry("encoding.to_json"),
        entry("encoding.url_decode"),
        entry("encoding.url_encode"),
        entry("file.path_join"),
        entry("json_path"),
        entry("string.format", alias: "format"),
        entry("string.join", alias: "join"),
        entry("string.replace", alias: "replace"),
        entry("string.split", alias: "split"),
        entry("string.to_lower", alias: "to_lower"),
        entry("string.to_upper", alias: "to_upper"),
        entry("string.trim", alias: "trim"),
        entry("string.trim_prefix", alias: "trim_prefix"),
        entry("string.trim_space", alias: "trim_space"),
        entry("string.trim_suffix", alias: "trim_suffix"),
        entry("sys.env", alias: "env"),
    ]

    private static func entry(
        _ name: String, stability: Stability = .generallyAvailable, alias: String? = nil, isFunction: Bool = true
    ) -> Entry {
        Entry(name: name, stability: stability, deprecatedAlias: alias, isFunction: isFunction)
    }

    // MARK: Constants

    private static func machineName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static var operatingSystem: String { "linux" }

    private static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }

    /// A semantic version with `v` and three numbers; text that is none stays as it is, nothing is `v0.0.0`.
    static func normalized(version: String) -> String {
        let trimmed = StringFunctions.trimmingSpace(version)
        guard !trimmed.isEmpty else { return "v0.0.0" }
        let bare = trimmed.hasPrefix("v") ? String(trimmed.dropFirst()) : trimmed
        let core = bare.prefix { $0 != "-" && $0 != "+" }
        var numbers = core.split(separator: ".", omittingEmptySubsequences: false).map { UInt64($0) }
        guard numbers.count <= 3, numbers.allSatisfy({ $0 != nil }) else { return trimmed }
        while numbers.count < 3 { numbers.append(0) }
        return "v" + numbers.map { String($0 ?? 0) }.joined(separator: ".") + bare.dropFirst(core.count)
    }
}

extension [Value] {
    /// The arguments of a call that takes exactly `count` strings.
    func strings(count: Int) throws(Function.Failure) -> [String] {
        try check(count: count)
        var result: [String] = []
        for index in indices { result.append(try argument(index)) }
        return result
    }

    /// Refuses a call with another number of arguments.
    func check(count expected: Int) throws(Function.Failure) {
        guard count == expected else { throw .call("expected \(expected) args, got \(count)") }
    }

    /// Refuses a call with fewer arguments.
    func check(atLeast expected: Int) throws(Function.Failure) {
        guard count >= expected else { throw .call("expected at least \(expected) args, got \(count)") }
    }

    /// One argument as the type a parameter has; the caller has checked that it was given.
    func argument<T: AlloyDecodable>(_ index: Int, as type: T.Type = T.self) throws(Function.Failure) -> T {
        do throws(ValueError) {
            return try T(alloy: self[index])
        } catch {
            throw .argument(index, error)
        }
    }
}
