import Essentials
import Synchronization
import Transport

/// What a watch says about one object.
package enum ObjectChange<Object: KubernetesObject>: Sendable {
    case added(Object)
    case modified(Object)
    case deleted(Object)

    package var object: Object {
        switch self {
        case .added(let object), .modified(let object), .deleted(let object): object
        }
    }
}

/// Hears what a ``ListWatcher`` learns, in order. A call that waits holds the server back.
package protocol ListWatchSink<Object>: AnyObject, Sendable {
    associatedtype Object: KubernetesObject

    /// A list begins: its objects come in pages, and what is on none of them is gone when it ends.
    func listBegan() async throws
    func received(page: [Object]) async throws
    func listEnded() async throws
    func received(_ change: ObjectChange<Object>) async throws
    /// A watch was begun: from now on changes come.
    func watchBegan()
    /// A request failed and will be made again.
    func failed(_ error: KubernetesError)
}

/// Lists the objects of a selection in pages and then watches for changes, again and again.
///
/// Agrees with "API Concepts" of the Kubernetes documentation: a watch that ends is taken up from the last version seen,
/// bookmarks included; a version the server no longer has (410) leads to a new list. Failures are retried after a
/// growing time with jitter, or when the server says so.
package final class ListWatcher<Object: KubernetesObject>: Sendable {
    /// Objects asked for at a time.
    static var pageSize: Int { 500 }
    /// Bytes of one event.
    static var maximumEvent: Int { 16 << 20 }

    private struct State: ~Copyable {
        /// Where a watch can go on; nil when there must be a list first.
        var version: String?
        var texts: TextTable
        var backoff = Backoff(minimum: .milliseconds(800), maximum: .seconds(30))
    }

    private let client: KubernetesClient
    private let selection: ObjectSelection
    private let state: Mutex<State>

    package init(_ client: KubernetesClient, _ selection: ObjectSelection) {
        self.client = client
        self.selection = selection
        state = Mutex(State(texts: TextTable(labels: selection.labels, annotations: selection.annotations)))
    }

    private var path: String { Object.resource.path(namespace: selection.namespace) }

    /// Lists and watches until cancelled, or until the sink throws. Called again, goes on where it stopped; one call at
    /// a time.
    package func run(_ sink: some ListWatchSink<Object>) async throws {
        while true {
            do {
                if state.withLock({ $0.version }) == nil { try await list(sink) }
                try await watch(sink)
            } catch let error as KubernetesError {
                try Task.checkCancellation()
                if error.isExpired { state.withLock { $0.version = nil } }
                // That a version has expired is no failure, but lists must not follow each other without a pause.
                if !error.isExpired { sink.failed(error) }
                let wait = state.withLock { $0.backoff.next() }
                try await client.clock.sleep(for: max(wait, error.retryAfter ?? .zero))
            }
        }
    }

    // MARK: Listing

    private func list(_ sink: some ListWatchSink<Object>) async throws {
        try await sink.listBegan()
        var continuation = ""
        while true {
            let bytes = try await client.get(
                path, query: selection.queryItems + [("limit", "\(Self.pageSize)"), ("continue", continuation)])
            try await yieldToOthers()
            let page = try withTexts { texts throws(KubernetesError) in
                try ListPage<Object>(bytes, &texts)
            }
            try await sink.received(page: page.objects)
            continuation = page.continuation
            if continuation.isEmpty {
                try await sink.listEnded()
                state.withLock { $0.version = page.version }
                return
            }
        }
    }

    /// Lets what waits for the thread run between two long computations.
    private func yieldToOthers() async throws {
        await Task.yield()
        try Task.checkCancellation()
    }

    // MARK: Watching

    private func watch(_ sink: some ListWatchSink<Object>) async throws {
        let seconds = Int.random(in: 300...600)
        let version = state.withLock { $0.version } ?? ""
        let started = client.clock.monotonicNanoseconds
        // A connection that died without notice ends soon after the server would have ended the watch.
        let body = try await client.stream(
            path,
            query: selection.queryItems + [
                ("watch", "1"), ("allowWatchBookmarks", "true"), ("resourceVersion", version),
                ("timeoutSeconds", "\(seconds)"),
            ],
            timeout: .seconds(seconds + 30))
        sink.watchBegan()
        var lines = LineAssembler()
        var isUseful = false
        while try await client.read(body, into: &lines) {
            while let event = try nextEvent(&lines) {
                try await apply(event, sink)
                isUseful = true
            }
            guard lines.heldBytes <= Self.maximumEvent else {
                body.cancel()
                state.withLock { $0.version = nil }
                throw KubernetesError.malformed("an event is larger than \(ByteCount(bytes: Self.maximumEvent))")
            }
        }
        // A server that ends each watch at once is not asked in a circle.
        if isUseful || client.clock.elapsed(since: started) >= .seconds(1) {
            state.withLock { $0.backoff.reset() }
        } else {
            let wait = state.withLock { $0.backoff.next() }
            try await client.clock.sleep(for: wait)
        }
    }

    private enum Line {
        case event(WatchEvent<Object>)
        case nothing
    }

    /// The next event of the lines that are whole; empty lines and unknown types are passed over.
    private func nextEvent(_ lines: inout LineAssembler) throws(KubernetesError) -> WatchEvent<Object>? {
        while true {
            let line = try withTexts { texts throws(KubernetesError) in
                try lines.nextLine { bytes throws(KubernetesError) -> Line in
                    if bytes.isEmpty { return .nothing }
                    return try WatchEvent<Object>(bytes, &texts).map { .event($0) } ?? .nothing
                }
            }
            guard let line else { return nil }
            if case .event(let event) = line { return event }
        }
    }

    private func apply(_ event: WatchEvent<Object>, _ sink: some ListWatchSink<Object>) async throws {
        switch event {
        case .added(let object): try await apply(object, sink) { .added($0) }
        case .modified(let object): try await apply(object, sink) { .modified($0) }
        case .deleted(let object): try await apply(object, sink) { .deleted($0) }
        case .bookmark(let version): if !version.isEmpty { state.withLock { $0.version = version } }
        case .failed(let error): throw error
        }
    }

    private func apply(
        _ object: Object, _ sink: some ListWatchSink<Object>, _ change: (Object) -> ObjectChange<Object>
    ) async throws {
        let version = object.metadata.version
        try await sink.received(change(object))
        if !version.isEmpty { state.withLock { $0.version = version } }
    }

    /// Lends the table to `body`. One caller at a time, so that nothing is shared that way only.
    private func withTexts<Result>(
        _ body: (inout TextTable) throws(KubernetesError) -> Result
    ) throws(KubernetesError) -> Result {
        var texts = TextTable()
        state.withLock { swap(&$0.texts, &texts) }
        defer { state.withLock { swap(&$0.texts, &texts) } }
        return try body(&texts)
    }
}
