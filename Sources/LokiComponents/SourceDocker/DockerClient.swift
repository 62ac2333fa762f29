import ComponentKit
import Essentials
import TextFormats
import Transport

/// Why a daemon did not do what was asked.
enum DockerFailure: Error, CustomStringConvertible {
    /// There is no such container.
    case gone
    case refused(HTTPStatus, String)
    case malformed(String)
    case transport(HTTPClientError)
    case log(DockerLogError)

    var description: String {
        switch self {
        case .gone: "no such container"
        case .refused(let status, let message):
            "the daemon answered \(status.code)" + (message.isEmpty ? "" : ": \(message)")
        case .malformed(let reason): reason
        case .transport(let error): "\(error)"
        case .log(let error): "\(error)"
        }
    }
}

/// The state of a container.
struct DockerContainer: Sendable, Equatable {
    var isTerminal: Bool
    var isRunning: Bool
    /// Tells one run of the container from another.
    var run: String
}

/// Asks a daemon for containers and their logs.
///
/// Source of the protocol: Docker Engine API 1.24 and later, `GET /containers/{id}/json` and `/containers/{id}/logs`.
final class DockerClient: Sendable {
    /// How a daemon is reached.
    struct Connection: Sendable, Equatable {
        let endpoint: DockerEndpoint
        let client: HTTPClientSettings
        /// Time for a request over HTTP, as upstream: a log is then asked for again.
        let refreshInterval: Duration
        let isPlainHTTP: Bool
    }

    private static let maximumAnswer = ByteCount.mebibytes(4)

    private let connection: Connection
    private let http: HTTPClient

    init(_ connection: Connection, on loops: EventLoops, clock: EngineClock) {
        self.connection = connection
        // As upstream, nothing of these settings applies to a unix socket.
        http = HTTPClient(
            connection.endpoint.socket != nil ? HTTPClientSettings() : connection.client, on: loops, clock: clock)
    }

    func shutDown() { http.shutDown() }

    func inspect(_ id: String) async throws(DockerFailure) -> DockerContainer {
        let timeout = connection.isPlainHTTP ? connection.refreshInterval : .seconds(30)
        let response = try await send("/containers/\(Percent.encode(id))/json", timeout, Self.maximumAnswer)
        let bytes: [UInt8]
        do throws(HTTPClientError) { bytes = try await response.collect() } catch { throw .transport(error) }
        guard let container = try? JSONValue(parsing: bytes), let state = container["State"], state.objectValue != nil
        else { throw .malformed("the daemon describes no container") }
        return DockerContainer(
            isTerminal: container["Config"]?["Tty"]?.boolValue ?? false,
            isRunning: state["Running"]?.boolValue ?? false,
            run: [state["StartedAt"], state["FinishedAt"]].map { $0?.stringValue ?? "" }.joined(separator: " "))
    }

    /// The log of a container from a second on, and what is written from then on.
    func follow(_ id: String, since: Int64?) async throws(DockerFailure) -> HTTPClientBody {
        let target =
            "/containers/\(Percent.encode(id))/logs?follow=1&since=\(since ?? 0)&stderr=1&stdout=1&timestamps=1"
        // A daemon that is gone without a word shows when the log is asked for again; a socket tells by itself.
        let lifetime: Duration? =
            connection.isPlainHTTP
            ? connection.refreshInterval : connection.endpoint.socket == nil ? .seconds(3_600) : nil
        return try await send(target, lifetime, ByteCount(bytes: .max)).body
    }

    private func send(
        _ target: String, _ timeout: Duration?, _ limit: ByteCount
    ) async throws(DockerFailure) -> HTTPClientResponse {
        guard var request = connection.endpoint.request(target) else { throw .malformed("the host is not usable") }
        request.timeout = timeout
        request.maximumBodyBytes = limit
        // Compressors hold back what has just been written.
        request.decompresses = false
        var body: [UInt8] = []
        let response: HTTPClientResponse
        do throws(HTTPClientError) {
            response = try await http.send(request)
            if response.status.isSuccess { return response }
            while body.count < 4096, try await response.body.read(into: &body) {}
            response.body.cancel()
        } catch {
            throw .transport(error)
        }
        if response.status == .notFound { throw .gone }
        let message = (try? JSONValue(parsing: body))?["message"]?.stringValue
        throw .refused(response.status, message ?? "")
    }
}
