import AlloySyntax
import Essentials
import Glibc

/// A module as it was imported.
struct ImportedModule: Sendable {
    /// The custom components it declares, and its own imports.
    let declares: DeclareScope
    /// Tells one content from another.
    let digest: String

    /// Where a module is imported from.
    struct Source: Sendable, Equatable {
        let arguments: ImportArguments
        let modulePath: String
    }
}

/// Why a module could not be imported.
struct ImportError: Error, Sendable, CustomStringConvertible {
    let description: String
    var diagnostics = Diagnostics()
}

/// Reads modules with the modules they import. Blocks.
struct ImportLoader: Sendable {
    private static let depthLimit = 16
    private static let sizeLimit = ByteCount.mebibytes(16)
    private static let fileLimit = 1_000

    /// What expressions of nested imports see.
    let root: Scope

    /// Reads what `arguments` name; `modulePath` is what the module around has.
    func load(_ arguments: ImportArguments, label: String, modulePath: String) throws(ImportError) -> ImportedModule {
        var session = Session(root: root)
        let declares = try session.load(arguments, label: label, modulePath: modulePath, depth: 0)
        return ImportedModule(declares: declares, digest: session.hash.hexDigest())
    }

    private struct Session {
        let root: Scope
        var hash = SHA256()
        var filesRead = 0

        mutating func load(
            _ arguments: ImportArguments, label: String, modulePath: String, depth: Int
        ) throws(ImportError) -> DeclareScope {
            guard depth < ImportLoader.depthLimit else {
                throw ImportError(
                    description: "import \"\(label)\" is nested more than \(ImportLoader.depthLimit) deep")
            }
            switch arguments {
            case .string(let block):
                let text = block.content.asSecret.reveal { $0 }
                return try parse([SourceFile(name: label, text: text)], modulePath: modulePath, depth: depth)
            case .file(let block):
                let source: ConfigurationSource
                do {
                    source = try ConfigurationSource.read(block.path, limit: ImportLoader.sizeLimit)
                } catch {
                    throw ImportError(description: "failed to read file: \(error)")
                }
                return try parse(source.files, modulePath: source.modulePath, depth: depth)
            }
        }

        private mutating func parse(
            _ files: [SourceFile], modulePath: String, depth: Int
        ) throws(ImportError) -> DeclareScope {
            var declares: [String: Definition] = [:]
            var imports: [String: DeclareScope?] = [:]
            let scope = Scope(variables: ["module_path": .string(modulePath)], parent: root)
            filesRead += files.count
            guard filesRead <= ImportLoader.fileLimit else {
                throw ImportError(description: "more than \(ImportLoader.fileLimit) files are imported")
            }
            for file in files {
                hash.update(Array("\(file.name)\n\(file.bytes.count)\n".utf8) + file.bytes)
                let body: Body
                do throws(Diagnostics) {
                    body = try Parser.parse(file).body
                } catch {
                    throw ImportError(
                        description: "imported content from \"\(file.name)\" cannot be parsed: \(error)",
                        diagnostics: error)
                }
                for statement in body.statements {
                    guard case .block(let block) = statement else {
                        throw refusal(file, "only declare and import blocks are allowed in a module", statement.range)
                    }
                    guard let label = block.label else {
                        throw refusal(file, "block \"\(block.name)\" must have a label", block.nameRange)
                    }
                    if block.name == "declare" {
                        // As upstream, the first of two declares counts.
                        if declares[label] == nil { declares[label] = Definition(name: label, body: block.body) }
                    } else if let kind = ImportKind(blockName: block.name) {
                        if imports[label] != nil {
                            throw refusal(file, "import block redefined \(label)", block.nameRange)
                        }
                        if let text = kind.refusal { throw refusal(file, text, block.nameRange) }
                        let read = ImportArguments.read(kind, block, in: scope)
                        guard let arguments = read.value else {
                            throw ImportError(
                                description: "imported node \(label) failed to evaluate: \(read.diagnostics)",
                                diagnostics: read.diagnostics)
                        }
                        imports[label] = try load(arguments, label: label, modulePath: modulePath, depth: depth + 1)
                    } else {
                        throw refusal(
                            file, "only declare and import blocks are allowed in a module, got \(block.name)",
                            block.nameRange)
                    }
                }
            }
            return DeclareScope(variables: scope.variables, declares: declares, imports: imports)
        }

        private func refusal(_ file: SourceFile, _ message: String, _ range: SourceRange) -> ImportError {
            ImportError(
                description: "imported content from \"\(file.name)\" is invalid: \(message)",
                diagnostics: Diagnostics([Diagnostic(.error, message, at: range)]))
        }
    }
}
