import TextFormats

/// What a process is matched by and named after.
struct ProcessIdentity: Sendable, Equatable {
    /// The command's name, at most 15 bytes.
    var name = ""
    var arguments: [String] = []
    var cgroups: [String] = []
    var userName = ""
    var pid: Int32 = 0
    /// Nanoseconds since 1970.
    var start: Int64 = 0
}

/// What is wrong with the name of a group.
struct ProcessNameError: Error, CustomStringConvertible {
    let description: String
}

/// Chooses processes and names their group.
///
/// Agrees with github.com/ncabatoff/process-exporter `config`. Deviation: a template that names a field processes do not
/// have is refused, upstream makes a name of what comes before it.
struct ProcessMatcher: Sendable {
    static let defaultName = "{{.ExeBase}}"
    private static let fields: Set<String> = [
        "Comm", "Cgroups", "ExeBase", "ExeFull", "Username", "PID", "StartTime", "Matches",
    ]

    private let template: GoTemplate
    private let comm: Set<String>?
    /// Paths by the last part; an empty path stands for every one.
    private let exe: [String: String]?
    private let cmdline: [RegularExpression]?

    /// Nil lists match everything, empty ones of `comm` and `exe` nothing. Throws what is wrong with the template.
    init(
        name: String, comm: [String]?, exe: [String]?, cmdline: [RegularExpression]?
    ) throws(ProcessNameError) {
        do throws(GoTemplateError) {
            template = try GoTemplate(name, name: "cmdname")
        } catch {
            throw ProcessNameError(description: "\(error)")
        }
        self.comm = comm.map { Set($0) }
        self.exe = exe.map { list in
            var paths: [String: String] = [:]
            for entry in list { paths[Self.base(entry)] = entry.contains("/") ? entry : "" }
            return paths
        }
        self.cmdline = cmdline
        if let field = Self.unknownField(name) {
            throw ProcessNameError(description: "a process has no field .\(field)")
        }
        // What can never be executed is noticed at once.
        var sample = ProcessIdentity(name: "name", arguments: ["/bin/name"], userName: "root", pid: 1)
        sample.cgroups = Array(repeating: "/", count: 16)
        sample.start = 1_000_000_000
        var matches: [String: GoValue] = ["": .string("x")]
        for expression in cmdline ?? [] { for name in expression.groupNames { matches[name ?? ""] = .string("x") } }
        do throws(GoTemplateError) {
            _ = try template.execute(Self.value(sample, matches))
        } catch {
            throw ProcessNameError(description: "\(error)")
        }
    }

    /// A field of the process that does not exist; only looked for where every field is one of the process.
    private static func unknownField(_ text: String) -> String? {
        guard let actions = try? RegularExpression(#"\{\{[^}]*\}\}"#),
            let field = try? RegularExpression(#"(?:^|[\s({|])\.([A-Za-z_]\w*)"#),
            let nested = try? RegularExpression(#"\b(range|with|define|block|template)\b"#)
        else { return nil }
        if nested.matches(text) { return nil }
        var text = text
        return text.withUTF8 { utf8 in
            let bytes = UnsafeRawBufferPointer(utf8)
            var position = 0
            var captures = RegularExpression.Captures()
            while position < bytes.count, actions.firstMatch(in: bytes, from: position, into: &captures),
                let range = captures[0]
            {
                position = max(range.upperBound, position + 1)
                let action = UnsafeRawBufferPointer(rebasing: bytes[range])
                var start = 0
                var inner = RegularExpression.Captures()
                while start < action.count, field.firstMatch(in: action, from: start, into: &inner),
                    let whole = inner[0], let found = inner[1]
                {
                    let name = String(decoding: action[found], as: UTF8.self)
                    if !fields.contains(name) { return name }
                    start = max(whole.upperBound, start + 1)
                }
            }
            return nil
        }
    }

    /// The group of a process; nil when it does not match.
    func group(of process: ProcessIdentity) -> String? {
        if let comm, !comm.contains(process.name) { return nil }
        if let exe {
            guard let program = process.arguments.first, let path = exe[Self.base(program)] else { return nil }
            if !path.isEmpty, path != program { return nil }
        }
        var matches: [String: GoValue] = [:]
        if let cmdline {
            let text = process.arguments.joined(separator: " ")
            for expression in cmdline {
                guard let groups = expression.firstMatch(in: text) else { return nil }
                for (name, group) in zip(expression.groupNames, groups) { matches[name ?? ""] = .string(group ?? "") }
            }
        }
        var output: [UInt8] = []
        // As upstream, what was written before a failure is the name.
        try? template.execute(Self.value(process, matches), into: &output)
        return String(decoding: output, as: UTF8.self)
    }

    private static func value(_ process: ProcessIdentity, _ matches: [String: GoValue]) -> GoValue {
        let program = process.arguments.first ?? process.name
        return .dictionary([
            "Comm": .string(process.name),
            "Cgroups": .list(process.cgroups.map { .string($0) }),
            "ExeBase": .string(process.arguments.isEmpty ? process.name : base(program)),
            "ExeFull": .string(program),
            "Username": .string(process.userName),
            "PID": .int(Int64(process.pid)),
            "StartTime": .time(GoTime(unixNanoseconds: process.start)),
            "Matches": .dictionary(matches),
        ])
    }

    /// The last part of a path, as Go's `filepath.Base` has it.
    static func base(_ path: String) -> String {
        if path.isEmpty { return "." }
        return path.split(separator: "/").last.map(String.init) ?? "/"
    }
}
