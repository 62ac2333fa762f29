import AlloySyntax
import ArgumentParser
import Essentials
import Glibc

/// `invar fmt`: the one layout of configurations.
struct FormatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fmt", abstract: "Format a configuration file.",
        discussion:
            "Reads standard input when the file is `-` or left out. Prints the result unless `--write` or `--test` is "
            + "given.", aliases: ["format"])

    @Argument(help: "The file to format, or `-` for standard input.") var file = "-"
    @Flag(name: [.customShort("w"), .customLong("write")], help: "Write the result to the file instead.")
    var write = false
    @Flag(
        name: [.customShort("t"), .customLong("test")],
        help: "Only tell, by the exit code, whether the file is formatted.")
    var test = false

    func run() throws {
        if write, test { throw CommandFailure("Error: --write and --test exclude each other") }
        if write, file == "-" { throw CommandFailure("Error: --write cannot be used with standard input") }
        let source = SourceFile(name: file == "-" ? "<stdin>" : file, bytes: try read())
        let formatted: [UInt8]
        do {
            formatted = try Formatter.format(source)
        } catch {
            throw CommandFailure(DiagnosticRenderer.report(error) + "Error: could not format file")
        }
        if test {
            if formatted != source.bytes { throw CommandFailure("Error: \(source.name) is not formatted") }
        } else if write {
            guard formatted != source.bytes else { return }
            try replaceFile(with: formatted)
        } else {
            writeOutput(formatted)
        }
    }

    private func read() throws -> [UInt8] {
        var status = stat()
        if file != "-", stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            throw CommandFailure("Error: cannot format a directory")
        }
        do {
            return try Files.read(file == "-" ? "/dev/stdin" : file)
        } catch {
            throw CommandFailure("Error: \(error)")
        }
    }

    /// Keeps the file's mode and owner, and a symbolic link to it.
    private func replaceFile(with content: [UInt8]) throws {
        var status = stat()
        let isThere = stat(file, &status) == 0
        let real = realpath(file, nil)
        defer { free(real) }
        let path = real.map { String(cString: $0) } ?? file
        do {
            try Files.replace(path, with: content, mode: isThere ? status.st_mode & 0o7777 : 0o644)
            if isThere, status.st_uid != getuid() || status.st_gid != getgid() {
                // Who may not give files away keeps the new owner.
                _ = chown(path, status.st_uid, status.st_gid)
            }
        } catch {
            throw CommandFailure("Error: \(error)")
        }
    }
}

extension DiagnosticRenderer {
    /// All diagnostics for a terminal, in colour when standard error is one.
    static func report(_ diagnostics: Diagnostics, sources: [SourceFile] = []) -> String {
        DiagnosticRenderer(usesColor: isatty(STDERR_FILENO) == 1).render(diagnostics)
    }
}
