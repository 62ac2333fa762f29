import AlloySyntax
import ArgumentParser
import Essentials
import Glibc
import Runtime

/// `invar validate`: everything that can be found wrong without running.
struct ValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Check a configuration file or directory without running it.",
        discussion: "Prints every error with its place and exits with 1, or says nothing and exits with 0.")

    @Argument(help: "A file, or a directory of *.alloy files.") var path: String
    @OptionGroup var features: FeatureFlags

    func run() async throws {
        let stability = try features.stability()
        let diagnostics = try await Self.withTemporaryStorage { storage in
            let engine = Engine(
                Engine.Choices(
                    storagePath: storage, stability: stability, allowsCommunityComponents: features.communityComponents,
                    memoryLimit: Engine.defaultMemoryLimit, writesLog: false, checksOnly: true))
            let source: ConfigurationSource
            do {
                source = try ConfigurationSource.read(path)
            } catch {
                throw CommandFailure("Error: \(error)")
            }
            // Loading without running evaluates every block but starts nothing.
            return await engine.runtime.load(source).diagnostics
        }
        if !diagnostics.isEmpty { writeError(DiagnosticRenderer.report(diagnostics)) }
        if diagnostics.hasErrors { throw CommandFailure("Error: validation failed") }
    }

    /// Gives `body` a directory for what components put into their storage when they are made, and removes it afterwards.
    static func withTemporaryStorage<Result>(_ body: (String) async throws -> Result) async throws -> Result {
        var template = Array("/tmp/invar-validate-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw CommandFailure("Error: cannot make a temporary directory") }
        let storage = String(cString: made)
        defer { removeTree(storage) }
        return try await body(storage)
    }

    /// Removes what components put into the temporary directory when they were made.
    private static func removeTree(_ path: String) {
        for name in (try? Files.list(path)) ?? [] {
            let child = path + "/" + name
            if unlink(child) != 0 { removeTree(child) }
        }
        rmdir(path)
    }
}
