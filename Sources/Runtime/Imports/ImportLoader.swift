import AlloySyntax
import ComponentKit
import Essentials
import TextFormats
import Transport

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

/// Reads modules with the modules they import.
struct ImportLoader: Sendable {
    private static let depthLimit = 16
    private static let sizeLimit = ByteCount.mebibytes(16)
    private static let fileLimit = 1_000

    /// What expressions of nested imports see.
    let root: Scope
    let services: EngineServices

    /// Reads what `arguments` name; `modulePath` is what the module around has.
    func load(
        _ arguments: ImportArguments, label: String, modulePath: String
    ) async throws(ImportError) -> ImportedModule {
        var session = Session(root: root, services: services)
        let declares = try await session.load(arguments, label: label, modulePath: modulePath, depth: 0)
        return ImportedModule(declares: declares, digest: session.hash.hexDigest())
    }

    private struct Session {
        let root: Scope
        let services: EngineServices
        var hash = SHA256()
        var filesRead = 0

        mutating func load(
            _ arguments: ImportArguments, label: String, modulePath: String, depth: Int
        ) async throws(ImportError) -> DeclareScope {
            guard depth < ImportLoader.depthLimit else {
                throw ImportError(
                    description: "import \"\(label)\" is nested more than \(ImportLoader.depthLimit) deep")
            }
            switch arguments {
            case .string(let block):
                let text = block.content.asSecret.reveal { $0 }
                return try await parse([SourceFile(name: label, text: text)], modulePath: modulePath, depth: depth)
            case .file(let block):
                let source: ConfigurationSource
                do {
                    source = try await services.blocking.run {
                        try ConfigurationSource.read(block.path, limit: ImportLoader.sizeLimit)
                    }
                } catch {
                    throw ImportError(description: "failed to read file: \(error)")
                }
                return try await parse(source.files, modulePath: source.modulePath, depth: depth)
            case .http(let block):
                let file = SourceFile(name: label, bytes: try await fetch(block))
                return try await parse([file], modulePath: block.modulePath, depth: depth, isRemote: true)
            }
        }

        /// The body of the response; every status but 200 is an error.
        private func fetch(_ block: ImportHTTPBlock) async throws(ImportError) -> [UInt8] {
            guard let url = block.url else { throw ImportError(description: "invalid URL") }
            let client = HTTPClient(block.client, on: services.eventLoops, clock: services.clock)
            defer { client.shutDown() }
            var request = HTTPClientRequest(block.method, url)
            for (name, value) in block.headers.sorted(by: { $0.key < $1.key }) { request.fields.add(name, value) }
            if let body = block.body { request.body = Array(body.utf8) }
            request.timeout = block.timeout
            request.maximumBodyBytes = ImportLoader.sizeLimit
            do {
                let response = try await client.send(request)
                let body = try await response.collect()
                guard response.status.code == 200 else {
                    throw ImportError(description: "polling failed: unexpected status code \(response.status.code)")
                }
                return body
            } catch let error as ImportError {
                throw error
            } catch {
                throw ImportError(description: "polling failed: \(error)")
            }
        }

        private mutating func parse(
            _ files: [SourceFile], modulePath: String, depth: Int, isRemote: Bool = false
        ) async throws(ImportError) -> DeclareScope {
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
                        if isRemote, kind == .file {
                            throw refusal(
                                file,
                                "importing a module via import.http that contains an import.file block is not supported",
                                block.nameRange)
                        }
                        if let text = kind.refusal { throw refusal(file, text, block.nameRange) }
                        let read = ImportArguments.read(kind, block, in: scope)
                        guard let arguments = read.value else {
                            throw ImportError(
                                description: "imported node \(label) failed to evaluate: \(read.diagnostics)",
                                diagnostics: read.diagnostics)
                        }
                        imports[label] = try await load(
                            arguments, label: label, modulePath: modulePath, depth: depth + 1)
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
