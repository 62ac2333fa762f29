import Testing

@testable import InvarCLI

@Suite("PowerShell completion")
struct PowerShellCompletionTests {
    @Test("Every command and flag that is shown is offered with its help, quoted for PowerShell")
    func words() throws {
        let description = """
            {"command": {"commandName": "tool", "subcommands": [
              {"commandName": "run", "abstract": "Don't stop.", "subcommands": [], "arguments": [
                {"kind": "option", "abstract": "Where.", "names": [
                  {"kind": "long", "name": "to"}, {"kind": "short", "name": "t"}]},
                {"kind": "positional", "abstract": "A file."},
                {"kind": "flag", "shouldDisplay": false, "names": [{"kind": "long", "name": "secret"}]}]}],
             "arguments": [{"kind": "flag", "abstract": "", "names": [{"kind": "long", "name": "version"}]}]}}
            """
        let script = try #require(PowerShellCompletion(description: description)).script
        let words = script.split(separator: "\n").prefix { $0 != "}" }
        #expect(
            words.map(String.init) == [
                "$toolWords = @{", "    'tool' = @(", "        ,@('run', 'Don''t stop.')",
                "        ,@('--version', '--version')", "    )", "    'tool run' = @(",
                "        ,@('--to', 'Where.')", "        ,@('-t', 'Where.')", "    )",
            ])
        #expect(script.contains("-Native -CommandName 'tool'"))
    }

    @Test("The program's own description has all its commands")
    func program() throws {
        let script = try #require(PowerShellCompletion.forInvar).script
        for command in ["run", "fmt", "validate", "explain", "top", "completion"] {
            #expect(script.contains("    'invar \(command)' = @("), "\(command)")
        }
        #expect(script.contains("'--server.http.listen-addr'"))
    }

    @Test("What is no description is refused")
    func nonsense() { #expect(PowerShellCompletion(description: "[]") == nil) }
}
