import ArgumentParser
import TextFormats

/// Writes the completion script for PowerShell, for which the argument parser has none.
///
/// The script is a table from a command to its words, made of the description the parser gives of the program, and a
/// completer registered as `Register-ArgumentCompleter -Native` documents.
struct PowerShellCompletion {
    /// A command with what may follow it.
    private struct Command {
        let path: String
        let words: [(word: String, help: String)]
    }

    private let program: String
    private let commands: [Command]

    /// Completion for this program.
    static var forInvar: PowerShellCompletion? { PowerShellCompletion(description: Invar._dumpHelp()) }

    /// Reads the parser's description, JSON of its `ToolInfo`; nil when it is not one.
    init?(description: String) {
        guard let json = try? JSONValue(parsing: description), let root = json["command"],
            let program = root["commandName"]?.stringValue
        else { return nil }
        self.program = program
        commands = Self.commands(root, path: program)
    }

    /// The script.
    var script: String {
        var lines = ["$\(program)Words = @{"]
        for command in commands {
            lines.append("    \(Self.quoted(command.path)) = @(")
            for (word, help) in command.words {
                lines.append("        ,@(\(Self.quoted(word)), \(Self.quoted(help)))")
            }
            lines.append("    )")
        }
        lines += [
            "}", "",
            "Register-ArgumentCompleter -Native -CommandName \(Self.quoted(program)) -ScriptBlock {",
            "    param($wordToComplete, $commandAst, $cursorPosition)",
            "    $path = \(Self.quoted(program))",
            "    foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {",
            "        if ($element.Extent.EndOffset -ge $cursorPosition) { break }",
            "        $next = \"$path $element\"",
            "        if ($\(program)Words.ContainsKey($next)) { $path = $next }",
            "    }",
            "    foreach ($entry in $\(program)Words[$path]) {",
            "        if ($entry[0].StartsWith($wordToComplete)) {",
            "            [System.Management.Automation.CompletionResult]::new(",
            "                $entry[0], $entry[0], 'ParameterValue', $entry[1])",
            "        }",
            "    }",
            "}",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func commands(_ json: JSONValue, path: String) -> [Command] {
        let subcommands = (json["subcommands"]?.arrayValue ?? []).filter(isShown)
        var words: [(word: String, help: String)] = []
        for subcommand in subcommands {
            guard let name = subcommand["commandName"]?.stringValue else { continue }
            words.append((name, help(of: subcommand, or: name)))
        }
        for argument in (json["arguments"]?.arrayValue ?? []).filter(isShown) {
            for name in argument["names"]?.arrayValue ?? [] {
                guard let text = name["name"]?.stringValue else { continue }
                let flag = (name["kind"]?.stringValue == "long" ? "--" : "-") + text
                words.append((flag, help(of: argument, or: flag)))
            }
        }
        return subcommands.reduce(into: [Command(path: path, words: words)]) { all, subcommand in
            guard let name = subcommand["commandName"]?.stringValue else { return }
            all += commands(subcommand, path: "\(path) \(name)")
        }
    }

    private static func isShown(_ json: JSONValue) -> Bool { json["shouldDisplay"]?.boolValue ?? true }

    /// PowerShell refuses a completion whose help is empty.
    private static func help(of json: JSONValue, or name: String) -> String {
        let text = json["abstract"]?.stringValue ?? ""
        return text.isEmpty ? name : text
    }

    private static func quoted(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    }
}
