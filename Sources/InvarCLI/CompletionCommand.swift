import ArgumentParser

/// `invar completion`: scripts that complete commands and flags.
struct CompletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion", abstract: "Print a completion script for a shell.",
        discussion: """
            For example: `invar completion bash > /etc/bash_completion.d/invar`, or in PowerShell \
            `invar completion powershell | Out-String | Invoke-Expression`.
            """)

    @Argument(help: "bash, zsh, fish or powershell.") var shell: String

    func run() throws {
        let script: String?
        if shell == "powershell" {
            script = PowerShellCompletion.forInvar?.script
        } else {
            script = CompletionShell(rawValue: shell).map { Invar.completionScript(for: $0) + "\n" }
        }
        guard let script else {
            throw CommandFailure(
                "Error: there is no completion for \"\(shell)\": use bash, zsh, fish or powershell")
        }
        writeOutput(Array(script.utf8))
    }
}
