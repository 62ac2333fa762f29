import ArgumentParser

/// `invar completion`: scripts that complete commands and flags.
struct CompletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion", abstract: "Print a completion script for a shell.",
        discussion: "For example: `invar completion bash > /etc/bash_completion.d/invar`.")

    @Argument(help: "bash, zsh or fish.") var shell: String

    func run() throws {
        guard let known = CompletionShell(rawValue: shell) else {
            throw CommandFailure("Error: there is no completion for \"\(shell)\": use bash, zsh or fish")
        }
        writeOutput(Array((Invar.completionScript(for: known) + "\n").utf8))
    }
}
