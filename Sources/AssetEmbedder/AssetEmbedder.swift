import FoundationEssentials

/// `AssetEmbedder FOLDER OUTPUT`: writes the files below FOLDER as the list `ConsoleAsset.all`.
///
/// The plugin EmbedAssets runs it while the package is built.
@main
enum AssetEmbedder {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { throw EmbeddingError("usage: AssetEmbedder FOLDER OUTPUT") }
        let folder = arguments[1]
        var source = """
            // Written while the package is built, from the files of Assets/.

            extension ConsoleAsset {
                static let all: [ConsoleAsset] = [

            """
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() {
            let path = folder + "/" + name
            var isFolder = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder else { continue }
            source += try entry(name: name, content: Data(contentsOf: URL(filePath: path)))
        }
        source += "    ]\n}\n"
        try Data(source.utf8).write(to: URL(filePath: arguments[2]), options: .atomic)
    }

    private static func entry(name: String, content: Data) throws -> String {
        let types = ["html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"]
        let ending = name.split(separator: ".").last.map(String.init) ?? ""
        guard let type = types[ending] else { throw EmbeddingError("\(name): no content type is known for .\(ending)") }
        let mediaType = ending == "svg" ? type : type + "; charset=utf-8"
        guard content.allSatisfy({ $0 < 0x80 && $0 != 0x0D }) else {
            throw EmbeddingError("\(name): only ASCII with line feeds can be embedded")
        }
        let text = String(decoding: content, as: UTF8.self)
        let quotes = "###"
        guard !text.contains("\"\"\"" + quotes), !text.contains("\\" + quotes) else {
            throw EmbeddingError("\(name): \(quotes) after a backslash or three quotes cannot stand in the literal")
        }
        let literal = "\(quotes)\"\"\"\n\(text)\n\"\"\"\(quotes)"
        return """
                    ConsoleAsset(name: "\(name)", type: "\(mediaType)", tag: "\(tag(of: content))", text: \(literal)),

            """
    }

    /// The 64-bit FNV-1a hash of the content, in hexadecimal: it only has to change with the content.
    private static func tag(of content: Data) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in content { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return String(hash, radix: 16)
    }
}

struct EmbeddingError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
