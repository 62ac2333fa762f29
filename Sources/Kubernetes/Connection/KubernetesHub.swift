package import Essentials
import Synchronization
package import Transport

/// Gives components that reach the same API server as the same user one client, and with it the same caches.
package final class KubernetesHub: Sendable {
    private let loops: EventLoops
    private let clock: EngineClock
    private let blocking: BlockingPool
    package let environment: PodEnvironment
    private let clients = Mutex<[WeakObject]>([])

    package init(
        on loops: EventLoops, clock: EngineClock, blocking: BlockingPool, environment: PodEnvironment = .process
    ) {
        self.loops = loops
        self.clock = clock
        self.blocking = blocking
        self.environment = environment
    }

    /// The client for a connection; reads the files it is described by.
    package func client(for connection: KubernetesConnection) async throws -> KubernetesClient {
        let environment = environment
        let server = try await blocking.run { try connection.server(in: environment) }
        return clients.withLock { clients in
            clients.removeAll { $0.object == nil }
            for kept in clients {
                if let client = kept.object as? KubernetesClient, client.server == server { return client }
            }
            let made = KubernetesClient(server, on: loops, clock: clock)
            clients.append(WeakObject(object: made))
            return made
        }
    }

    /// The namespace the process runs in.
    package func ownNamespace() async throws -> String {
        let environment = environment
        return try await blocking.run { try environment.namespace() }
    }
}
