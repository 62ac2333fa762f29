import Synchronization

/// Objects that components share, one of each type, made when first asked for.
package final class SharedInstances: Sendable {
    private let instances = Mutex<[ObjectIdentifier: any AnyObject & Sendable]>([:])

    package init() {}

    /// The instance of `type`; `make` makes it and must not ask for others.
    package func instance<Instance: AnyObject & Sendable>(
        of type: Instance.Type = Instance.self, _ make: () -> Instance
    ) -> Instance {
        instances.withLock { instances in
            if let known = instances[ObjectIdentifier(type)] as? Instance { return known }
            let made = make()
            instances[ObjectIdentifier(type)] = made
            return made
        }
    }
}
