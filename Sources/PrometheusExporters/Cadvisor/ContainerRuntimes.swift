import ComponentKit
import Essentials
import Glibc
import SelfMetrics
import Synchronization
import TextFormats
import Transport

/// Asks Docker, containerd and CRI-O about containers, and keeps what they answered while the containers exist.
///
/// APIs: Docker Engine API (`/containers/json`, `/containers/{id}/json`, `/version`), containerd's gRPC services, and
/// CRI-O's inspection API (`/containers/{id}` of its `server/inspect.go`).
final class ContainerRuntimes: Sendable {
    private struct State {
        var facts: [String: ContainerFacts] = [:]
        /// IDs nobody knows, and when they were asked for last.
        var unknown: [String: Int64] = [:]
        var dockerVersion = ""
    }

    /// How long an ID that nobody knows is not asked for again.
    private static let unknownLifetime = Duration.seconds(15)
    private static let timeout = Duration.seconds(10)

    private let settings: CadvisorSettings
    private let crioSocket: String
    private let clock: EngineClock
    private let log: Log
    private let limiter: LogLimiter
    private let http: HTTPClient
    private let docker: HTTPClient
    private let containerd: GRPCClient
    private let state = Mutex(State())

    init(
        _ settings: CadvisorSettings, on loops: EventLoops, clock: EngineClock, log: Log,
        crioSocket: String = "/var/run/crio/crio.sock"
    ) {
        self.settings = settings
        self.crioSocket = crioSocket
        self.clock = clock
        self.log = log
        limiter = LogLimiter(every: .seconds(60), clock: clock)
        http = HTTPClient(HTTPClientSettings(), on: loops, clock: clock)
        var dockerSettings = HTTPClientSettings()
        if let tls = settings.docker?.tls { dockerSettings.tls = tls }
        docker = HTTPClient(dockerSettings, on: loops, clock: clock)
        var grpc = GRPCClientSettings(host: "localhost", port: 80)
        grpc.unixSocketPath = settings.containerdSocket
        grpc.balancer = .pickFirst
        grpc.maximumMessage = 64 << 20
        containerd = GRPCClient(grpc, on: loops, clock: clock)
    }

    func shutDown() {
        http.shutDown()
        docker.shutDown()
        containerd.shutDown()
    }

    var dockerVersion: String { state.withLock { $0.dockerVersion } }

    /// What is known about the containers with these IDs; others are forgotten.
    func facts(for ids: Set<String>) async -> [String: ContainerFacts] {
        let now = clock.monotonicNanoseconds
        state.withLock { state in
            state.facts = state.facts.filter { ids.contains($0.key) && Self.isAlive($0.value) }
            state.unknown = state.unknown.filter {
                ids.contains($0.key) && now - $0.value < Self.unknownLifetime.nanoseconds
            }
        }
        if !ids.isEmpty {
            await askDocker(ids)
            var missing = missing(ids)
            if !missing.isEmpty { await askCRIO(missing) }
            missing = self.missing(ids)
            if !missing.isEmpty { await askContainerd(missing) }
            missing = self.missing(ids)
            state.withLock { state in for id in missing { state.unknown[id] = now } }
        }
        return state.withLock { $0.facts }
    }

    /// A container that started anew has another process.
    private static func isAlive(_ facts: ContainerFacts) -> Bool {
        facts.processID > 0 && (kill(pid_t(truncatingIfNeeded: facts.processID), 0) == 0 || errno == EPERM)
    }

    private func missing(_ ids: Set<String>) -> Set<String> {
        state.withLock { state in ids.filter { state.facts[$0] == nil && state.unknown[$0] == nil } }
    }

    private func keep(_ facts: ContainerFacts) { state.withLock { $0.facts[facts.id] = facts } }

    private func failed(_ runtime: String, _ error: any Error) {
        limiter.attempt { suppressed in
            log.warn(
                "A container runtime did not answer", error, ["name": runtime, "suppressed": "\(suppressed)"])
        }
    }

    private static func exists(_ socket: String) -> Bool { access(socket, F_OK) == 0 }

    private struct Refusal: Error, CustomStringConvertible { let description: String }

    private func get(_ client: HTTPClient, _ url: HTTPURL, _ socket: String?) async throws -> [UInt8] {
        var request = HTTPClientRequest(.get, url)
        request.unixSocketPath = socket
        request.timeout = Self.timeout
        request.maximumBodyBytes = .mebibytes(64)
        let response = try await client.send(request)
        guard response.status == .ok else {
            response.body.cancel()
            throw Refusal(description: "\(url.path): server returned HTTP status \(response.status)")
        }
        return try await response.collect()
    }

    // MARK: Docker

    private func askDocker(_ ids: Set<String>) async {
        guard let endpoint = settings.docker, endpoint.socket.map(Self.exists) ?? true else { return }
        func url(_ path: String) -> HTTPURL? { endpoint.base.resolving(path) }
        do {
            guard let list = url("/containers/json"), let version = url("/version") else { return }
            if dockerVersion.isEmpty {
                let answer = try await get(docker, version, endpoint.socket)
                let text = try JSONValue(parsing: answer)["Version"]?.stringValue ?? ""
                state.withLock { $0.dockerVersion = text }
            }
            let rows = try RuntimeAnswers.dockerList(try await get(docker, list, endpoint.socket))
            for row in rows where ids.contains(row.id) {
                let isKnown = state.withLock { state in
                    state.facts[row.id]?.health = row.health
                    return state.facts[row.id] != nil
                }
                guard !isKnown, let inspect = url("/containers/\(row.id)/json") else { continue }
                // It may have ended since it was listed.
                guard let answer = try? await get(docker, inspect, endpoint.socket) else { continue }
                var facts = try RuntimeAnswers.dockerContainer(
                    answer, allowedEnvironment: settings.allowedEnvironment)
                facts.health = row.health
                if facts.id == row.id { keep(facts) }
            }
        } catch {
            failed("docker", error)
        }
    }

    // MARK: CRI-O

    private func askCRIO(_ ids: Set<String>) async {
        guard Self.exists(crioSocket) else { return }
        for id in ids {
            do {
                guard let url = HTTPURL("http://crio/containers/\(id)") else { return }
                keep(try RuntimeAnswers.crioContainer(try await get(http, url, crioSocket), id: id))
            } catch is Refusal {
                continue
            } catch {
                failed("crio", error)
                return
            }
        }
    }

    // MARK: containerd

    private func askContainerd(_ ids: Set<String>) async {
        guard Self.exists(settings.containerdSocket) else { return }
        do {
            var metadata = HTTPFields()
            metadata["containerd-namespace"] = settings.containerdNamespace
            let containers = try await containerd.call(
                ContainerdMessages.listContainers, [], metadata: metadata, timeout: Self.timeout)
            let tasks = try await containerd.call(
                ContainerdMessages.listTasks, [], metadata: metadata, timeout: Self.timeout)
            let processes = try ContainerdMessages.processIDs(tasks.message)
            let list = try ContainerdMessages.containers(
                containers.message, allowedEnvironment: settings.allowedEnvironment)
            for var facts in list where ids.contains(facts.id) {
                // Without a task it is not running, and its group belongs to something else.
                guard let processID = processes[facts.id] else { continue }
                facts.processID = processID
                keep(facts)
            }
        } catch {
            failed("containerd", error)
        }
    }
}
