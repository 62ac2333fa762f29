import Essentials
import Synchronization
import TextFormats
import Transport

/// An API server on loopback for tests: objects put in by the test are listed, paged, watched and selected as the
/// Kubernetes API documents it ("API Concepts"), and logs are read and followed.
///
/// It speaks for any kind of object: what is in a path decides. Tokens and refusals are as the test sets them.
package final class KubernetesDouble: Sendable {
    typealias Chunks = AsyncStream<[UInt8]>

    struct Entry {
        var object: JSONValue
        var version: Int
        var text: [UInt8]
    }

    struct Event {
        var version: Int
        var type: String
        var object: JSONValue
        var text: [UInt8]
    }

    struct Watcher {
        var plural: String
        var namespace: String?
        var selection: DoubleSelection
        var chunks: Chunks.Continuation
    }

    struct LogLine {
        /// RFC 3339 with nanoseconds.
        var time: String
        var line: String
    }

    struct State: ~Copyable {
        var version = 100
        /// By plural and then `namespace/name`.
        var objects: [String: [String: Entry]] = [:]
        var events: [String: [Event]] = [:]
        /// Versions below this one are gone.
        var oldest = 0
        var watchers: [Int: Watcher] = [:]
        var logs: [String: [LogLine]] = [:]
        /// Logs of the runs before.
        var earlierLogs: [String: [LogLine]] = [:]
        /// What is said in place of lines.
        var logRefusals: [String: String] = [:]
        var followers: [Int: (log: String, timestamps: Bool, chunks: Chunks.Continuation)] = [:]
        var nextID = 0
        /// Nil lets everybody in.
        var tokens: Set<String>?
        /// `verb plural`, such as `list pods`.
        var forbidden: Set<String> = []
        /// Answers the next requests whose path holds the text with a status.
        var failures: [(path: String, status: Int)] = []
        var requests: [String] = []
    }

    final class Box: Sendable {
        let state = Mutex(State())
    }

    private let server: HTTPServer
    private let loops: EventLoops
    private let running: Task<Void, Never>
    let box: Box

    package init() async throws {
        loops = EventLoops(threads: 1)
        let box = Box()
        self.box = box
        var router = HTTPRouter()
        router.otherwise { request in DoubleAnswers(box).answer(request) }
        var settings = HTTPServerSettings(address: .host("127.0.0.1", port: 0))
        settings.shutdownTimeout = .milliseconds(10)
        settings.idleTimeout = nil
        let server = try await HTTPServer.bind(settings, router: router, on: loops)
        self.server = server
        // A thread of its own: harnesses block the shared ones.
        let executor = ThreadExecutor(name: "kubernetes-double")
        running = Task(executorPreference: executor) { await server.run(on: executor) }
    }

    deinit {
        running.cancel()
        closeStreams()
    }

    /// The server's URL.
    package var url: String { "http://\(server.address.text)" }

    /// The port, under which a page of metrics is served at `/metrics`, too.
    package var port: Int { server.address.port ?? 0 }

    /// Every request so far, as method, path and query.
    package var requests: [String] { box.state.withLock { $0.requests } }

    package var watcherCount: Int { box.state.withLock { $0.watchers.count } }
    package var followerCount: Int { box.state.withLock { $0.followers.count } }

    // MARK: Objects

    /// Adds or replaces an object, given as JSON without a version.
    package func put(_ plural: String, _ json: String) {
        guard let document = try? JSONValue(parsing: json), case .object(var object) = document else { return }
        box.state.withLock { state in
            state.version += 1
            var metadata = object["metadata"]?.objectValue ?? JSONObject()
            metadata["resourceVersion"] = .string("\(state.version)")
            object["metadata"] = .object(metadata)
            let made = JSONValue.object(object)
            let key = DoubleSelection.key(of: made)
            let isNew = state.objects[plural]?[key] == nil
            let text = Array(JSONWriter().text(made).utf8)
            state.objects[plural, default: [:]][key] = Entry(object: made, version: state.version, text: text)
            Self.publish(&state, plural, isNew ? "ADDED" : "MODIFIED", made, text)
        }
    }

    /// Deletes an object; the namespace is empty for what is in none.
    package func delete(_ plural: String, _ namespace: String, _ name: String) {
        box.state.withLock { state in
            guard let entry = state.objects[plural]?.removeValue(forKey: "\(namespace)/\(name)") else { return }
            state.version += 1
            guard case .object(var object) = entry.object else { return }
            var metadata = object["metadata"]?.objectValue ?? JSONObject()
            metadata["resourceVersion"] = .string("\(state.version)")
            object["metadata"] = .object(metadata)
            let made = JSONValue.object(object)
            Self.publish(&state, plural, "DELETED", made, Array(JSONWriter().text(made).utf8))
        }
    }

    /// Changes many objects at once without watchers hearing of it: as if it happened while nobody was connected.
    package func removeSilently(_ plural: String, _ namespace: String, _ name: String) {
        box.state.withLock { state in
            state.version += 1
            state.objects[plural]?["\(namespace)/\(name)"] = nil
        }
    }

    private static func publish(
        _ state: inout State, _ plural: String, _ type: String, _ object: JSONValue, _ text: [UInt8]
    ) {
        state.events[plural, default: []].append(
            Event(version: state.version, type: type, object: object, text: text))
        for watcher in state.watchers.values
        where watcher.plural == plural && watcher.selection.matches(object, namespace: watcher.namespace) {
            watcher.chunks.yield(eventLine(type, text))
        }
    }

    static func eventLine(_ type: String, _ object: [UInt8]) -> [UInt8] {
        Array("{\"type\":\"\(type)\",\"object\":".utf8) + object + Array("}\n".utf8)
    }

    // MARK: Disturbances

    /// Sends a bookmark with the newest version to every watcher.
    package func bookmark() {
        box.state.withLock { state in
            let object = Array("{\"kind\":\"Any\",\"metadata\":{\"resourceVersion\":\"\(state.version)\"}}".utf8)
            for watcher in state.watchers.values { watcher.chunks.yield(Self.eventLine("BOOKMARK", object)) }
        }
    }

    /// Forgets what happened before now: watches that begin at an older version get 410.
    package func expire() {
        box.state.withLock { state in
            state.version += 1
            state.oldest = state.version
            state.events = [:]
        }
    }

    /// Tells every watcher that its version has expired, in the stream.
    package func expireWatches() {
        expire()
        let status = DoubleAnswers.status(410, "Expired", "too old resource version")
        box.state.withLock { state in
            for watcher in state.watchers.values {
                watcher.chunks.yield(Self.eventLine("ERROR", status))
                watcher.chunks.finish()
            }
            state.watchers = [:]
        }
    }

    /// Ends every watch and every followed log.
    package func closeStreams() {
        box.state.withLock { state in
            for watcher in state.watchers.values { watcher.chunks.finish() }
            for follower in state.followers.values { follower.chunks.finish() }
            state.watchers = [:]
            state.followers = [:]
        }
    }

    /// Lets only these tokens in; nil lets everybody in.
    package func accept(tokens: Set<String>?) { box.state.withLock { $0.tokens = tokens } }

    /// Refuses `verb plural`, such as `list pods`, until called again.
    package func forbid(_ actions: Set<String>) { box.state.withLock { $0.forbidden = actions } }

    /// Answers the next request whose path holds `path` with a status.
    package func fail(_ path: String, with status: Int) {
        box.state.withLock { $0.failures.append((path, status)) }
    }

    // MARK: Logs

    /// Adds a line to a container's log; `time` is RFC 3339 with nanoseconds.
    package func appendLog(_ namespace: String, _ pod: String, _ container: String, time: String, _ line: String) {
        let log = "\(namespace)/\(pod)/\(container)"
        box.state.withLock { state in
            state.logs[log, default: []].append(LogLine(time: time, line: line))
            for follower in state.followers.values where follower.log == log {
                follower.chunks.yield(Array((follower.timestamps ? "\(time) \(line)\n" : "\(line)\n").utf8))
            }
        }
    }

    /// Ends the followers of a container's log, as when the container has ended.
    package func endLog(_ namespace: String, _ pod: String, _ container: String) {
        let log = "\(namespace)/\(pod)/\(container)"
        box.state.withLock { state in
            for (id, follower) in state.followers where follower.log == log {
                follower.chunks.finish()
                state.followers[id] = nil
            }
        }
    }

    /// Begins a new run of a container: its log so far is that of the run before. Followers are let go.
    package func beginRun(_ namespace: String, _ pod: String, _ container: String) {
        let log = "\(namespace)/\(pod)/\(container)"
        box.state.withLock { state in
            state.earlierLogs[log] = state.logs[log]
            state.logs[log] = []
        }
        endLog(namespace, pod, container)
    }

    /// Answers requests for a container's log with `text` where lines should be, as a kubelet does; nil ends that.
    package func refuseLog(_ namespace: String, _ pod: String, _ container: String, _ text: String?) {
        box.state.withLock { $0.logRefusals["\(namespace)/\(pod)/\(container)"] = text }
    }
}
