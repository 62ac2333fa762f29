import ComponentKit
import Essentials
import Runtime
import TextFormats
import Transport

/// `api/v0/console/explain`: what an item meets in the running configuration.
enum ExplainPage {
    /// Bytes of a body: a value, its labels and what JSON needs around them.
    private static let bodyLimit = 1 << 20

    /// Answers a question given in the query of a GET or in the JSON body of a POST.
    static func answer(_ request: HTTPServerRequest, runtime: Runtime, clock: EngineClock) async -> HTTPServerResponse {
        let now = clock.wallNanoseconds
        do throws(ExplainError) {
            let question: ExplainRequest
            if request.method == .post {
                let body: [UInt8]
                do throws(HTTPBodyError) {
                    body = try await request.body.collect(upTo: bodyLimit)
                } catch {
                    if case .tooLarge = error {
                        return .text(HTTPStatus(413), "the body is longer than \(bodyLimit) bytes\n")
                    }
                    return .text(.badRequest, "\(error)\n")
                }
                question = try ExplainRequest(json: body, now: now)
            } else {
                question = try read(request, now: now)
            }
            let report = try await runtime.explain(question.item, at: question.component)
            return .json(.ok, Array(JSONWriter().text(ExplainJSON.value(report)).utf8))
        } catch {
            return .text(.badRequest, "\(error)\n")
        }
    }

    private static func read(_ request: HTTPServerRequest, now: Int64) throws(ExplainError) -> ExplainRequest {
        let query = request.query
        for item in query where !ExplainRequest.members.contains(item.name) {
            throw ExplainError("\"\(item.name)\" is none of \(ExplainRequest.members.joined(separator: ", "))")
        }
        return try ExplainRequest(
            kind: query["item"] ?? "", value: query["value"] ?? "", labels: query["labels"] ?? "",
            metadata: query["metadata"] ?? "", line: query["line"], component: query["at"] ?? "", now: now)
    }
}
