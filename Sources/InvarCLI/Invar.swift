package import ArgumentParser
import Glibc

/// The `invar` command.
package struct Invar: AsyncParsableCommand {
    package static let version = "0.1.0"

    package static let configuration = CommandConfiguration(
        commandName: "invar",
        abstract: "A telemetry collector that runs Grafana Alloy configuration.",
        discussion: """
            Start with `invar validate config.alloy`, then `invar run config.alloy` and look at \
            http://127.0.0.1:12345.
            """,
        version: "invar, version \(version) (runs Alloy configuration)",
        subcommands: [
            RunCommand.self, FormatCommand.self, ValidateCommand.self, ExplainCommand.self, TopCommand.self,
            CompletionCommand.self,
        ])

    /// Commands of Alloy that are not there yet.
    private static let missingCommands: Set<String> = ["gql", "graphql", "tools", "otel", "otel-supervisor", "convert"]

    package init() {}

    /// Parses the process's arguments and runs the command. Exit codes are Alloy's: 0, or 1 for every failure;
    /// `explain` has one more for an item that is dropped.
    package static func start() async -> Never {
        let arguments = FlagSpelling.spelledOut(Array(CommandLine.arguments.dropFirst()))
        if let first = arguments.first, missingCommands.contains(first) {
            writeError("Error: the command \"\(first)\" is not supported by this version of invar")
            Glibc.exit(1)
        }
        do {
            var command = try parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            Glibc.exit(0)
        } catch let failure as CommandFailure {
            if !failure.message.isEmpty { writeError(failure.message) }
            Glibc.exit(1)
        } catch let code as ExitCode {
            Glibc.exit(code.rawValue)
        } catch {
            let code = exitCode(for: error)
            if code.isSuccess { exit(withError: error) }
            writeError(fullMessage(for: error))
            Glibc.exit(1)
        }
    }
}

/// A command could not do its work; the message is what the user sees.
struct CommandFailure: Error {
    let message: String

    init(_ message: String) { self.message = message }
}

/// Writes a line to standard error.
func writeError(_ text: String) {
    let bytes = Array((text.hasSuffix("\n") ? text : text + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Writes bytes to standard output.
func writeOutput(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { raw in
        var offset = 0
        while offset < raw.count {
            let count = write(STDOUT_FILENO, raw.baseAddress?.advanced(by: offset), raw.count - offset)
            if count <= 0 { return }
            offset += count
        }
    }
}

/// Flags as Alloy's charts write them: `--flag` for `--flag=true`, `--flag=` for an empty value, `-v` for `--version`.
enum FlagSpelling {
    static let booleans: Set<String> = [
        "server.http.enable-pprof", "server.http.disable-support-bundle", "server.http.enable-graphql",
        "server.http.enable-graphql-playground", "cluster.enabled", "cluster.enable-tls", "cluster.use-discovery-v1",
        "config.bypass-conversion-errors", "disable-reporting", "feature.community-components.enabled",
        "feature.prometheus.direct-fanout.enabled", "feature.prometheus.metric-validation-scheme",
    ]

    /// The arguments as the parser takes them.
    static func spelledOut(_ arguments: [String]) -> [String] {
        if arguments.first == "-v" { return ["--version"] }
        return arguments.flatMap { argument in
            guard argument.hasPrefix("--") else { return [argument] }
            if booleans.contains(String(argument.dropFirst(2))) { return [argument + "=true"] }
            if argument.hasSuffix("="), argument.count > 3 { return [String(argument.dropLast()), ""] }
            return [argument]
        }
    }
}
