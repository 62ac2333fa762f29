package import Essentials
import Synchronization
import TextFormats
package import Transport

/// Which objects of a kind are meant.
package struct ObjectSelection: Sendable, Hashable {
    /// Nil is every namespace.
    package var namespace: String?
    package var labelSelector: String
    package var fieldSelector: String
    /// What of them is kept.
    package var labels = KeptTexts.all
    package var annotations = KeptTexts.all

    package init(namespace: String? = nil, labelSelector: String = "", fieldSelector: String = "") {
        self.namespace = namespace
        self.labelSelector = labelSelector
        self.fieldSelector = fieldSelector
    }

    var queryItems: [(name: String, value: String)] {
        [("labelSelector", labelSelector), ("fieldSelector", fieldSelector)]
    }
}

/// Asks one API server, as one user.
///
/// Speaks JSON over HTTP as the Kubernetes API reference ("API Concepts") has it. All requests together keep a bound
/// per second; a long answer, such as a watch or a followed log, counts once.
package final class KubernetesClient: Sendable {
    /// Bytes of one answer that is read whole.
    package static let maximumAnswer = ByteCount.mebibytes(64)
    private static let requestTimeout = Duration.seconds(60)

    package let server: KubernetesServer
    let clock: EngineClock
    private let http: HTTPClient
    private let pacer: RequestPacer
    private let basePath: String
    private let serverVersion = Mutex<[Int]?>(nil)
    private let caches = Mutex<[CacheKey: WeakObject]>([:])

    package init(
        _ server: KubernetesServer, on loops: EventLoops, clock: EngineClock, requestsPerSecond: Int = 50,
        burst: Int = 100
    ) {
        self.server = server
        self.clock = clock
        var settings = server.settings
        // Watches and followed logs are silent for long; each has bounds of its own.
        settings.requestTimeout = nil
        http = HTTPClient(settings, on: loops, clock: clock)
        pacer = RequestPacer(perSecond: requestsPerSecond, burst: burst, clock: clock)
        let path = server.url.path
        basePath = path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    deinit { http.shutDown() }

    /// The whole answer to a GET of `path`, whose segments are encoded.
    package func get(
        _ path: String, query: [(name: String, value: String)] = [], timeout: Duration? = nil,
        limit: ByteCount = maximumAnswer
    ) async throws(KubernetesError) -> [UInt8] {
        let response = try await send(
            path, query, accept: "application/json", timeout: timeout ?? Self.requestTimeout, limit: limit)
        do {
            return try await response.collect()
        } catch {
            throw .transport(error)
        }
    }

    /// An answer to be read as it comes, without a bound on its length; nil as `timeout` is without one on its time.
    ///
    /// It is not compressed: compressors hold back what has just been written.
    package func stream(
        _ path: String, query: [(name: String, value: String)], accept: String = "application/json",
        timeout: Duration? = nil
    ) async throws(KubernetesError) -> HTTPClientBody {
        let response = try await send(
            path, query, accept: accept, timeout: timeout, limit: ByteCount(bytes: .max), decompresses: false)
        return response.body
    }

    private func send(
        _ path: String, _ query: [(name: String, value: String)], accept: String, timeout: Duration?,
        limit: ByteCount, decompresses: Bool = true
    ) async throws(KubernetesError) -> HTTPClientResponse {
        do {
            try await pacer.turn()
        } catch {
            throw .transport(.cancelled)
        }
        let url = server.url.replacing(path: basePath + path, query: APIPath.query(query))
        var request = HTTPClientRequest(.get, url, fields: ["accept": accept], decompresses: decompresses)
        request.timeout = timeout
        request.maximumBodyBytes = limit
        let response: HTTPClientResponse
        var body: [UInt8] = []
        do throws(HTTPClientError) {
            response = try await http.send(request)
            if response.status.isSuccess { return response }
            while body.count < 64 * 1024, try await response.body.read(into: &body) {}
            response.body.cancel()
        } catch {
            throw .transport(error)
        }
        throw KubernetesError(
            code: response.status.code, body: body, retryAfter: Self.wait(response.fields["retry-after"]))
    }

    /// Reads on in an answer; false at its end, also where the connection was closed or its time was over.
    package func read(
        _ body: HTTPClientBody, into lines: inout LineAssembler
    ) async throws(KubernetesError) -> Bool {
        do throws(HTTPClientError) {
            return try await lines.fill { buffer throws(HTTPClientError) in try await body.read(into: &buffer) }
        } catch .connectionClosed, .deadlineExceeded {
            return false
        } catch {
            throw .transport(error)
        }
    }

    /// Whether the server's version is below `version`; false when it does not tell.
    package func isOlder(than version: (major: Int, minor: Int)) async -> Bool {
        var known = serverVersion.withLock { $0 }
        if known == nil {
            do throws(KubernetesError) {
                let bytes = try await get("/version", limit: .kibibytes(64))
                known = Self.numbers((try? JSONValue(parsing: bytes))?["gitVersion"]?.stringValue ?? "")
            } catch .refused {
                // A server that does not tell counts as new.
                known = Self.numbers("")
            } catch {}
            serverVersion.withLock { [known] in $0 = known }
        }
        guard let known else { return false }
        return (known[0], known[1]) < (version.major, version.minor)
    }

    /// Major and minor number of a version such as `v1.29.3`; the largest ones when it is none.
    private static func numbers(_ version: String) -> [Int] {
        let numbers = version.drop { $0 == "v" }.split(separator: ".").prefix(2).map { Int($0) }
        guard numbers.count == 2, let major = numbers[0], let minor = numbers[1] else { return [.max, .max] }
        return [major, minor]
    }

    private static func wait(_ field: String?) -> Duration? {
        guard let seconds = field.flatMap({ Int($0) }), seconds >= 0 else { return nil }
        return .seconds(min(seconds, 300))
    }

    // MARK: Shared caches

    private struct CacheKey: Hashable {
        var type: ObjectIdentifier
        var selection: ObjectSelection
    }

    /// The cache of the selected objects, the same one for everybody who asks while somebody keeps it.
    package func cache<Object: KubernetesObject>(
        of type: Object.Type = Object.self, _ selection: ObjectSelection
    ) -> ResourceCache<Object> {
        let key = CacheKey(type: ObjectIdentifier(type), selection: selection)
        return caches.withLock { caches in
            if let cache = caches[key]?.object as? ResourceCache<Object> { return cache }
            caches = caches.filter { $0.value.object != nil }
            let made = ResourceCache<Object>(self, selection)
            caches[key] = WeakObject(object: made)
            return made
        }
    }
}

/// A reference that does not keep its object.
struct WeakObject {
    weak var object: (any AnyObject & Sendable)?
}
