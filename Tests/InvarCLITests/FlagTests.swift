import ArgumentParser
import Testing

@testable import InvarCLI

@Suite("Command line")
struct FlagTests {
    @Test(
        "Flags are taken as Alloy's charts write them",
        arguments: [
            (["run", "a", "--disable-reporting"], ["run", "a", "--disable-reporting=true"]),
            (["run", "a", "--disable-reporting=false"], ["run", "a", "--disable-reporting=false"]),
            (["run", "a", "--cluster.name="], ["run", "a", "--cluster.name", ""]),
            (["run", "--storage.path=/x"], ["run", "--storage.path=/x"]),
            (["-v"], ["--version"]), (["fmt", "-", "-t"], ["fmt", "-", "-t"]), ([], []),
        ])
    func spelling(given: [String], taken: [String]) {
        #expect(FlagSpelling.spelledOut(given) == taken)
    }

    @Test(
        "A flag of clustering is refused by name when it asks for something",
        arguments: [
            ("--cluster.enabled", "true"), ("--cluster.node-name", "n"), ("--cluster.advertise-address", "a:1"),
            ("--cluster.join-addresses", "a:1"), ("--cluster.discover-peers", "x"),
            ("--cluster.advertise-interfaces", "eth1"), ("--cluster.rejoin-interval", "30s"),
            ("--cluster.max-join-peers", "4"), ("--cluster.name", "n"), ("--cluster.enable-tls", "true"),
            ("--cluster.tls-ca-path", "/x"), ("--cluster.tls-cert-path", "/x"), ("--cluster.tls-key-path", "/x"),
            ("--cluster.tls-server-name", "x"), ("--cluster.wait-for-size", "3"), ("--cluster.wait-timeout", "5s"),
        ])
    func clustering(flag: String, value: String) throws {
        let given = try ClusterFlags.parse([flag, value])
        let refusal = #expect(throws: CommandFailure.self) { try given.refuse() }
        #expect(refusal?.message.contains(flag) == true)
    }

    @Test("Flags of clustering that say their defaults are taken")
    func clusteringDefaults() throws {
        let given = FlagSpelling.spelledOut([
            "--cluster.enabled=false", "--cluster.node-name=", "--cluster.advertise-interfaces=eth0,en0",
            "--cluster.rejoin-interval=1m", "--cluster.max-join-peers=5", "--cluster.wait-for-size=0",
            "--cluster.wait-timeout=0s", "--cluster.use-discovery-v1",
        ])
        try ClusterFlags.parse(given).refuse()
    }
}
