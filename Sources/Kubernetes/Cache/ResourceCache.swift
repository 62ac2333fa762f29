import Essentials
import Synchronization

/// What subscribers of a cache count and report.
package enum CacheNotice: Sendable {
    /// Objects that came, changed or went; changes of what is not kept count as changes too.
    case changed(added: Int, modified: Int, deleted: Int)
    case failed(KubernetesError)
    /// A list is complete, or a watch goes on after a failure: what the cache holds is what the server has.
    case listed
}

/// An object of a cache, for those who keep many.
package final class KeptObject<Object: KubernetesObject>: Sendable {
    package let object: Object
    package init(_ object: Object) { self.object = object }
}

/// The objects of a selection as the server has them, kept up to date and shared by everybody who needs them.
///
/// The subscribers' own tasks keep it up to date: each calls ``serve()``, one of them lists and watches, and when that
/// one is cancelled another goes on from the same version.
package final class ResourceCache<Object: KubernetesObject>: Sendable {
    private struct State: ~Copyable {
        var objects: [ObjectKey: KeptObject<Object>] = [:]
        /// Keys seen by the list under way; nil when there is none.
        var listed: Set<ObjectKey>?
        var isSynced = false
        var failure: KubernetesError?
        var subscriptions: [WeakSubscription] = []
    }

    private struct WeakSubscription {
        weak var subscription: CacheSubscription<Object>?
    }

    private let watcher: ListWatcher<Object>
    /// Keeps the client, and with it the connection, as long as the cache is used.
    private let client: KubernetesClient
    private let turn = Slots(1)
    private let state = Mutex(State())

    init(_ client: KubernetesClient, _ selection: ObjectSelection) {
        self.client = client
        watcher = ListWatcher(client, selection)
    }

    /// Keeps the cache up to date until cancelled. Everybody who uses the cache calls it.
    package func serve() async throws {
        try await turn.withSlot { try await watcher.run(self) }
    }

    /// Whether a whole list has been received.
    package var isSynced: Bool { state.withLock { $0.isSynced } }

    /// Why the last request failed; nil when it did not.
    package var failure: KubernetesError? { state.withLock { $0.failure } }

    package var count: Int { state.withLock { $0.objects.count } }

    package subscript(key: ObjectKey) -> Object? { kept(key)?.object }

    /// An object to be kept beside the cache without another copy.
    package func kept(_ key: ObjectKey) -> KeptObject<Object>? { state.withLock { $0.objects[key] } }

    /// Every object, in no order.
    package var objects: [Object] { state.withLock { $0.objects.values.map(\.object) } }

    /// Hears of changes from now on, as long as the subscription is kept. What is known already counts as changed.
    package func subscribe(
        _ signal: ChangeSignal, notice: (@Sendable (CacheNotice) -> Void)? = nil
    ) -> CacheSubscription<Object> {
        let subscription = CacheSubscription<Object>(signal, notice)
        let (keys, isSynced) = state.withLock { state in
            state.subscriptions.removeAll { $0.subscription == nil }
            state.subscriptions.append(WeakSubscription(subscription: subscription))
            return (Set(state.objects.keys), state.isSynced)
        }
        subscription.add(keys)
        if isSynced {
            notice?(.changed(added: keys.count, modified: 0, deleted: 0))
            notice?(.listed)
            signal.set()
        }
        return subscription
    }

    private func announce(_ keys: Set<ObjectKey>, _ notice: CacheNotice?) {
        let subscriptions = state.withLock { $0.subscriptions.compactMap(\.subscription) }
        for subscription in subscriptions { subscription.hear(keys, notice) }
    }
}

extension ResourceCache: ListWatchSink {
    package func listBegan() { state.withLock { $0.listed = [] } }

    package func received(page: [Object]) {
        let (changed, added, modified) = state.withLock { state in
            var changed: Set<ObjectKey> = []
            var added = 0
            var modified = 0
            for var object in page {
                let key = object.metadata.key
                object.metadata.version = ""
                state.listed?.insert(key)
                if let known = state.objects[key] {
                    if known.object == object { continue }
                    modified += 1
                } else {
                    added += 1
                }
                state.objects[key] = KeptObject(object)
                changed.insert(key)
            }
            return (changed, added, modified)
        }
        announce(changed, .changed(added: added, modified: modified, deleted: 0))
    }

    package func listEnded() {
        let gone = state.withLock { state in
            let listed = state.listed ?? []
            state.listed = nil
            let gone = Set(state.objects.keys.filter { !listed.contains($0) })
            for key in gone { state.objects[key] = nil }
            state.isSynced = true
            state.failure = nil
            return gone
        }
        if !gone.isEmpty { announce(gone, .changed(added: 0, modified: 0, deleted: gone.count)) }
        announce([], .listed)
    }

    package func received(_ change: ObjectChange<Object>) {
        var object = change.object
        object.metadata.version = ""
        let key = object.metadata.key
        var isDeletion = false
        if case .deleted = change { isDeletion = true }
        let (isNew, isChanged) = state.withLock { [object] state -> (Bool, Bool) in
            state.failure = nil
            if isDeletion { return (false, state.objects.removeValue(forKey: key) != nil) }
            guard let known = state.objects[key] else {
                state.objects[key] = KeptObject(object)
                return (true, true)
            }
            if known.object == object { return (false, false) }
            state.objects[key] = KeptObject(object)
            return (false, true)
        }
        announce(
            isChanged ? [key] : [],
            .changed(
                added: isNew ? 1 : 0, modified: isNew || isDeletion ? 0 : 1, deleted: isDeletion ? 1 : 0))
    }

    package func watchBegan() {
        let wasFailing = state.withLock { state in
            defer { state.failure = nil }
            return state.failure != nil
        }
        if wasFailing { announce([], .listed) }
    }

    package func failed(_ error: KubernetesError) {
        state.withLock { $0.failure = error }
        announce([], .failed(error))
    }
}

/// What changed in a cache since it was last looked at, and who wants to know.
package final class CacheSubscription<Object: KubernetesObject>: Sendable {
    private let signal: ChangeSignal
    private let notice: (@Sendable (CacheNotice) -> Void)?
    private let changed = Mutex<Set<ObjectKey>>([])

    init(_ signal: ChangeSignal, _ notice: (@Sendable (CacheNotice) -> Void)?) {
        self.signal = signal
        self.notice = notice
    }

    /// The keys of the objects that came, changed or went since the last call.
    package func take() -> Set<ObjectKey> {
        changed.withLock { changed in
            defer { changed = [] }
            return changed
        }
    }

    func add(_ keys: Set<ObjectKey>) {
        if !keys.isEmpty { changed.withLock { $0.formUnion(keys) } }
    }

    func hear(_ keys: Set<ObjectKey>, _ notice: CacheNotice?) {
        add(keys)
        if let notice { self.notice?(notice) }
        switch notice {
        case .changed: if !keys.isEmpty { signal.set() }
        case .listed, .failed, nil: signal.set()
        }
    }
}
