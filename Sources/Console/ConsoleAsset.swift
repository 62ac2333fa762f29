import Essentials
import TextFormats
import Transport

/// A file of the console as the browser gets it. The plugin `EmbedAssets` writes the list from `Assets/`.
struct ConsoleAsset: Sendable {
    let name: String
    let type: String
    /// Changes with the content.
    let tag: String
    let text: StaticString

    /// The content, byte for byte.
    var bytes: [UInt8] { text.withUTF8Buffer { Array($0) } }

    /// The asset of this name.
    static func named(_ name: String) -> ConsoleAsset? { all.first { $0.name == name } }

    /// Answers with the content, or with 304 when the browser has it. A new version of the program shows at once: browsers
    /// ask each time.
    func response(to request: HTTPServerRequest) -> HTTPServerResponse {
        let quoted = "\"\(tag)\""
        let known = request.fields.elements("if-none-match").contains {
            $0 == quoted || $0 == "W/" + quoted || $0 == "*"
        }
        var response: HTTPServerResponse = known ? .init(304) : .bytes(.ok, bytes, type: type)
        response.fields["etag"] = quoted
        response.fields["cache-control"] = "no-cache"
        return response
    }

    /// The page every view of the console starts from, with the path the program serves it under.
    static func page(_ status: HTTPStatus, pathPrefix: String) -> HTTPServerResponse {
        let text = named("index.html").map { String(decoding: $0.bytes, as: UTF8.self) } ?? ""
        let marker = "<base href=\"/\">"
        var page = text
        if let place = text.firstRange(of: marker) {
            page = text[..<place.lowerBound] + "<base href=\"\(escaped(pathPrefix))\">" + text[place.upperBound...]
        }
        var response = HTTPServerResponse.bytes(status, Array(page.utf8), type: "text/html; charset=utf-8")
        response.fields["cache-control"] = "no-cache"
        return response
    }

    private static func escaped(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: out.append(character)
            }
        }
        return out
    }
}
