import Essentials
import Synchronization
import TestKit
import Testing
import Transport

@testable import Kubernetes

/// A client, a clock that tests advance and a double, with tasks running on an executor of the test's own.
final class CacheFixture {
    let double: KubernetesDouble
    let executor = ManualExecutor()
    let clock = EngineClock.manual()
    let loops = EventLoops(threads: 1)
    private var tasks: [Task<Void, any Error>] = []

    init() async throws { double = try await KubernetesDouble() }

    deinit { stop() }

    func client(token: String? = nil) throws -> KubernetesClient {
        var settings = HTTPClientSettings()
        if let token { settings.authorisation = .bearer(.inline(Secret(token))) }
        let url = try #require(HTTPURL(double.url))
        return KubernetesClient(KubernetesServer(url: url, settings: settings), on: loops, clock: clock)
    }

    @discardableResult
    func start(_ body: @escaping @Sendable () async throws -> Void) -> Task<Void, any Error> {
        let task = Task(executorPreference: executor) { try await body() }
        tasks.append(task)
        return task
    }

    func stop() {
        for task in tasks { task.cancel() }
        executor.drain()
    }

    /// Waits for a condition; `step` moves the clock each time it does not hold.
    func settle(step: Duration? = nil, until condition: () -> Bool) -> Bool {
        executor.drain(until: {
            if condition() { return true }
            if let step { clock.advance(by: step) { executor.drain() } }
            return condition()
        })
    }
}

@Suite("ResourceCache", .serialized)
struct ResourceCacheTests {
    private func names(_ cache: ResourceCache<Pod>) -> [String] { cache.objects.map(\.metadata.name).sorted() }

    @Test("A list is read page by page and then kept up to date by a watch")
    func listAndWatch() async throws {
        let fixture = try await CacheFixture()
        let double = fixture.double
        for index in 0..<1_203 {
            double.putPod("ns", "p\(index)", ip: "10.0.0.1", containers: [("a", ["http:80"])])
        }
        let client = try fixture.client()
        let cache: ResourceCache<Pod> = client.cache(ObjectSelection())
        let signal = ChangeSignal()
        let counts = Mutex((0, 0, 0))
        let subscription = cache.subscribe(signal) { notice in
            guard case .changed(let added, let modified, let deleted) = notice else { return }
            counts.withLock { $0 = ($0.0 + added, $0.1 + modified, $0.2 + deleted) }
        }
        fixture.start { try await cache.serve() }
        #expect(fixture.settle { cache.isSynced && double.watcherCount == 1 })
        #expect(cache.count == 1_203)
        #expect(subscription.take().count == 1_203)
        #expect(double.requests.filter { $0.contains("limit=500") }.count == 3)
        double.putPod("ns", "new", ip: "10.0.0.2", containers: [])
        double.putPod("ns", "p7", ip: "10.0.0.77", containers: [])
        double.delete("pods", "ns", "p8")
        #expect(fixture.settle { counts.withLock { $0 } == (1_204, 1, 1) })
        #expect(subscription.take() == Set(["new", "p7", "p8"].map { ObjectKey(namespace: "ns", name: $0) }))
        #expect(cache[ObjectKey(namespace: "ns", name: "p7")]?.podIP == "10.0.0.77")
        // What is not kept of an object makes no difference to anybody.
        double.putPod("ns", "p7", ip: "10.0.0.77", containers: [])
        #expect(fixture.settle { counts.withLock { $0 } == (1_204, 2, 1) })
        #expect(subscription.take().isEmpty)
        fixture.stop()
    }

    @Test("A watch that ends goes on from the last version, bookmarks included")
    func reconnecting() async throws {
        let fixture = try await CacheFixture()
        let double = fixture.double
        double.putPod("ns", "a", ip: "1.1.1.1", containers: [])
        let cache: ResourceCache<Pod> = try fixture.client().cache(ObjectSelection(namespace: "ns"))
        fixture.start { try await cache.serve() }
        #expect(fixture.settle { double.watcherCount == 1 })
        double.put("services", #"{"metadata": {"name": "s", "namespace": "ns"}}"#)
        double.bookmark()
        double.closeStreams()
        // The version of the bookmark is the newest: nothing is sent again, and there is no second list.
        #expect(fixture.settle(step: .seconds(1)) { double.watcherCount == 1 })
        let watches = double.requests.filter { $0.contains("watch=1") }
        #expect(watches.count == 2)
        #expect(watches.last?.contains("resourceVersion=102") == true, "\(watches)")
        double.putPod("ns", "b", ip: "1.1.1.2", containers: [])
        #expect(fixture.settle { cache.count == 2 })
        #expect(double.requests.filter { !$0.contains("watch=1") }.count == 1)
        fixture.stop()
    }

    @Test("A version that has expired leads to a new list, and what has gone meanwhile goes", arguments: [true, false])
    func expiry(inStream: Bool) async throws {
        let fixture = try await CacheFixture()
        let double = fixture.double
        double.putPod("ns", "a", ip: "1.1.1.1", containers: [])
        double.putPod("ns", "b", ip: "1.1.1.2", containers: [])
        let cache: ResourceCache<Pod> = try fixture.client().cache(ObjectSelection())
        let subscription = cache.subscribe(ChangeSignal())
        fixture.start { try await cache.serve() }
        #expect(fixture.settle { double.watcherCount == 1 })
        _ = subscription.take()
        double.removeSilently("pods", "ns", "a")
        if inStream {
            double.expireWatches()
        } else {
            double.expire()
            double.closeStreams()
        }
        #expect(fixture.settle(step: .seconds(1)) { cache.count == 1 && double.watcherCount == 1 })
        #expect(subscription.take() == [ObjectKey(namespace: "ns", name: "a")])
        #expect(cache.failure == nil)
        fixture.stop()
    }

    @Test("Refusals are told and tried again until they end")
    func refusals() async throws {
        let fixture = try await CacheFixture()
        let double = fixture.double
        double.forbid(["list pods"])
        double.accept(tokens: ["right"])
        double.putPod("ns", "a", ip: "1.1.1.1", containers: [])
        let wrong: ResourceCache<Pod> = try fixture.client(token: "wrong").cache(ObjectSelection())
        let right: ResourceCache<Pod> = try fixture.client(token: "right").cache(ObjectSelection())
        fixture.start { try await wrong.serve() }
        fixture.start { try await right.serve() }
        #expect(fixture.settle { wrong.failure != nil && right.failure != nil })
        #expect(wrong.failure?.description == "Unauthorized")
        #expect(right.failure?.description.contains("pods is forbidden") == true)
        double.forbid([])
        #expect(fixture.settle(step: .seconds(10)) { right.isSynced })
        #expect(right.failure == nil && right.count == 1)
        #expect(!wrong.isSynced)
        fixture.stop()
    }

    @Test("A failure is over when a watch goes on, also when nothing changes")
    func recovering() async throws {
        let fixture = try await CacheFixture()
        let double = fixture.double
        let cache: ResourceCache<Pod> = try fixture.client().cache(ObjectSelection())
        let notices = Notices()
        let subscription = cache.subscribe(ChangeSignal()) { notice in
            switch notice {
            case .failed: notices.failed.withLock { $0 += 1 }
            case .listed: notices.listed.withLock { $0 += 1 }
            case .changed: break
            }
        }
        fixture.start { try await cache.serve() }
        #expect(fixture.settle { double.watcherCount == 1 })
        double.fail("/pods", with: 500)
        double.closeStreams()
        #expect(fixture.settle(step: .seconds(1)) { notices.failed.withLock { $0 } == 1 })
        #expect(
            fixture.settle(step: .seconds(1)) {
                double.watcherCount == 1 && cache.failure == nil && notices.listed.withLock { $0 } == 2
            })
        #expect(subscription.take().isEmpty)
        fixture.stop()
    }

    private final class Notices: Sendable {
        let failed = Mutex(0)
        let listed = Mutex(0)
    }

    @Test("Everybody who selects the same shares one watch, and it outlives the one who keeps it")
    func sharing() async throws {
        let fixture = try await CacheFixture()
        let double = fixture.double
        double.putPod("ns", "a", ip: "1.1.1.1", containers: [])
        let hub = KubernetesHub(
            on: fixture.loops, clock: fixture.clock, blocking: BlockingPool(name: "test", threads: 1))
        let connection = KubernetesConnection.server(try #require(HTTPURL(double.url)), HTTPClientSettings())
        let first = try await hub.client(for: connection)
        let second = try await hub.client(for: connection)
        #expect(first === second)
        let cache: ResourceCache<Pod> = first.cache(ObjectSelection(labelSelector: ""))
        let same: ResourceCache<Pod> = second.cache(ObjectSelection())
        #expect(cache === same)
        let other: ResourceCache<Pod> = first.cache(ObjectSelection(labelSelector: "a=b"))
        #expect(other !== cache)
        let leader = fixture.start { try await cache.serve() }
        #expect(fixture.settle { double.watcherCount == 1 })
        fixture.start { try await same.serve() }
        fixture.executor.drain()
        leader.cancel()
        double.putPod("ns", "b", ip: "1.1.1.2", containers: [])
        #expect(fixture.settle(step: .seconds(1)) { same.count == 2 })
        // The second keeper went on where the first had stopped.
        #expect(double.requests.filter { !$0.contains("watch=1") }.count == 1)
        fixture.stop()
    }

    @Test("Labels and annotations that are not selected are not kept, and that they change is no change")
    func keptTexts() async throws {
        let fixture = try await CacheFixture()
        func put(_ label: String, _ annotation: String) {
            fixture.double.put(
                "deployments",
                #"""
                {"metadata":{"name":"web","namespace":"ns","uid":"u","labels":{"app":"\#(label)","b":"1"},\#
                "annotations":{"last":"\#(annotation)"}}}
                """#)
        }
        put("a", "1")
        var selection = ObjectSelection()
        selection.labels = .named(["app"])
        selection.annotations = .none
        let client = try fixture.client()
        let cache: ResourceCache<MetadataObject<DeploymentKind>> = client.cache(selection)
        #expect(client.cache(of: MetadataObject<DeploymentKind>.self, ObjectSelection()) !== cache)
        let changes = Mutex(0)
        let subscription = cache.subscribe(ChangeSignal()) { notice in
            if case .changed = notice { changes.withLock { $0 += 1 } }
        }
        fixture.start { try await cache.serve() }
        #expect(fixture.settle { cache.isSynced && fixture.double.watcherCount == 1 })
        let key = ObjectKey(namespace: "ns", name: "web")
        #expect(cache[key]?.metadata.labels == [NamedText(name: "app", text: "a")])
        #expect(cache[key]?.metadata.annotations == [])
        #expect(subscription.take() == [key])
        put("a", "2")
        #expect(fixture.settle { changes.withLock { $0 } == 2 })
        #expect(subscription.take() == [])
        put("b", "2")
        #expect(fixture.settle { cache[key]?.metadata.label("app") == "b" })
        #expect(subscription.take() == [key])
    }

    @Test("Selectors are the server's work")
    func selectors() async throws {
        let fixture = try await CacheFixture()
        let double = fixture.double
        double.putPod("ns", "a", node: "n1", ip: "1", labels: ["app": "x"], containers: [])
        double.putPod("ns", "b", node: "n2", ip: "2", labels: ["app": "x"], containers: [])
        double.putPod("other", "c", node: "n1", ip: "3", labels: ["app": "y"], containers: [])
        let cache: ResourceCache<Pod> = try fixture.client().cache(
            ObjectSelection(namespace: "ns", labelSelector: "app in (x)", fieldSelector: "spec.nodeName=n1"))
        fixture.start { try await cache.serve() }
        #expect(fixture.settle { double.watcherCount == 1 })
        #expect(names(cache) == ["a"])
        double.putPod("ns", "d", node: "n1", ip: "4", labels: ["app": "x"], containers: [])
        double.putPod("ns", "e", node: "n1", ip: "5", labels: ["app": "z"], containers: [])
        #expect(fixture.settle { names(cache) == ["a", "d"] })
        fixture.stop()
    }

    @Test("Requests come no faster than agreed")
    func pace() async throws {
        let clock = EngineClock.manual()
        let executor = ManualExecutor()
        let pacer = RequestPacer(perSecond: 10, burst: 3, clock: clock)
        let done = Done()
        let tasks = (0..<8).map { _ in
            Task(executorPreference: executor) {
                try await pacer.turn()
                done.count.withLock { $0 += 1 }
            }
        }
        executor.drain()
        #expect(done.count.withLock { $0 } == 3)
        clock.advance(by: .milliseconds(200)) { executor.drain() }
        #expect(done.count.withLock { $0 } == 5)
        clock.advance(by: .seconds(1)) { executor.drain() }
        #expect(done.count.withLock { $0 } == 8)
        for task in tasks { task.cancel() }
    }

    private final class Done: Sendable {
        let count = Mutex(0)
    }
}
