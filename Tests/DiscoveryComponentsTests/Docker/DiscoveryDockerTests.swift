import ComponentKit
import Essentials
import Foundation
import Synchronization
import Telemetry
import TestKit
import Testing
import TextFormats
import Transport

@testable import DiscoveryComponents

extension DiscoveryTests {
    @Suite("discovery.docker")
    struct DiscoveryDockerTests {
        private static let networks = """
            [{"Id":"n1","Name":"bridge","Scope":"local","Internal":false,"Ingress":true,"Labels":{"net.team":"x"}},
             {"Id":"n2","Name":"other","Scope":"local","Internal":true}]
            """

        private func made(_ containers: String, _ change: (inout DockerTargets) -> Void = { _ in }) throws -> [String] {
            var maker = DockerTargets(port: 80, hostNetworkingHost: "localhost", matchesFirstNetwork: true)
            change(&maker)
            let targets = maker.targets(
                containers: try JSONValue(parsing: containers), networks: try JSONValue(parsing: Self.networks))
            return targets.map { "\($0)" }
        }

        private static let network =
            #"__meta_docker_network_id="n1", __meta_docker_network_ingress="true", "#
            + #"__meta_docker_network_internal="false", __meta_docker_network_ip="172.17.0.2", "#
            + #"__meta_docker_network_label_net_team="x", __meta_docker_network_name="bridge", "#
            + #"__meta_docker_network_scope="local""#

        @Test("Every TCP port of a container is a target with the labels of container, network and port")
        func ports() throws {
            let found = try made(
                """
                [{"Id":"c1","Names":["/web"],"Image":"nginx","ImageID":"sha256:1","Labels":{"a.b":"c"},
                  "HostConfig":{"NetworkMode":"bridge"},
                  "Ports":[{"PrivatePort":80,"PublicPort":8080,"IP":"0.0.0.0","Type":"tcp"},
                           {"PrivatePort":53,"Type":"udp"},{"PrivatePort":443,"Type":"tcp"}],
                  "NetworkSettings":{"Networks":{"bridge":{"NetworkID":"n1","IPAddress":"172.17.0.2"}}}},
                 {"Id":"c2","Names":[]}]
                """)
            let container =
                #"__meta_docker_container_id="c1", __meta_docker_container_image="nginx", "#
                + #"__meta_docker_container_image_id="sha256:1", __meta_docker_container_label_a_b="c", "#
                + #"__meta_docker_container_name="/web", __meta_docker_container_network_mode="bridge", "#
            #expect(
                found == [
                    #"{__address__="172.17.0.2:80", \#(container)\#(Self.network), __meta_docker_port_private="80", "#
                        + #"__meta_docker_port_public="8080", __meta_docker_port_public_ip="0.0.0.0"}"#,
                    #"{__address__="172.17.0.2:443", \#(container)\#(Self.network), __meta_docker_port_private="443"}"#,
                ])
        }

        private func addresses(_ list: [String]) -> [Substring] {
            list.map { $0.dropFirst(14).prefix { $0 != "\"" } }
        }

        @Test("Addresses without ports, of the machine's network, of IPv6 and of networks that are shared")
        func addresses() throws {
            let text = """
                [{"Id":"a","Names":["/a"],"HostConfig":{"NetworkMode":"host"},
                  "NetworkSettings":{"Networks":{"host":{"NetworkID":"n9"}}}},
                 {"Id":"b","Names":["/b"],"HostConfig":{"NetworkMode":"bridge"},
                  "NetworkSettings":{"Networks":{"z":{"NetworkID":"n2","IPAddress":"10.0.0.2"},
                                                 "bridge":{"NetworkID":"n1","GlobalIPv6Address":"fd00::2"},"k":null}}},
                 {"Id":"c","Names":["/c"],"HostConfig":{"NetworkMode":"container:b"},"NetworkSettings":{"Networks":{}}},
                 {"Id":"d","Names":["/d"],"HostConfig":{"NetworkMode":"container:e"}},
                 {"Id":"e","Names":["/e"],"HostConfig":{"NetworkMode":"container:d"}}]
                """
            #expect(addresses(try made(text)) == ["localhost", "[fd00::2]:80", "[fd00::2]:80"])
            let all = try made(text) {
                $0.matchesFirstNetwork = false
                $0.port = 99
                $0.hostNetworkingHost = "me"
            }
            #expect(addresses(all) == ["me", "[fd00::2]:99", "10.0.0.2:99", "[fd00::2]:99", "10.0.0.2:99"])
        }

        @Test("Answers that are no lists make no targets")
        func nonsense() throws {
            for text in [
                "{}", "null", "[1]", "[{}]", #"[{"Names":[5]}]"#, #"[{"Names":["/x"],"Ports":{},"Labels":[]}]"#,
            ] {
                #expect(try made(text) == [])
            }
        }

        @Test("The daemon is asked over its unix socket with the filters, again and again")
        func socket() throws {
            let directory = TemporaryDirectory()
            let harness = ComponentHarness(DiscoveryDocker.self)
            let asked = Asked()
            var router = HTTPRouter()
            router.on(.get, "/containers/json") { [asked] request in
                asked.filters.withLock { $0 = request.rawQuery }
                return asked.isBroken.withLock { $0 }
                    ? .text(.internalServerError, "no")
                    : .json(
                        .ok,
                        Array(
                            #"[{"Id":"c1","Names":["/w"],"NetworkSettings":{"Networks":{"b":{"IPAddress":"1.2.3.4"}}}}]"#
                                .utf8))
            }
            router.on(.get, "/networks") { _ in .json(.ok, Array("[]".utf8)) }
            let path = directory.path + "/docker.sock"
            let loops = harness.services.eventLoops
            let server = try harness.run { [router] in
                try await HTTPServer.bind(HTTPServerSettings(address: .unix(path: path)), router: router, on: loops)
            }
            let running = Task(executorPreference: harness.executor) { [executor = harness.executor] in
                await server.run(on: executor)
            }
            defer { running.cancel() }
            #expect(
                harness.start(
                    """
                    host = "unix://\(path)"
                    refresh_interval = "10s"
                    filter {
                      name = "label"
                      values = ["a b", "c"]
                    }
                    """) == [])
            #expect(harness.settle(until: { targets(harness).count == 1 }))
            #expect(targets(harness)[0].contains(#"__address__="1.2.3.4:80""#))
            #expect(
                asked.filters.withLock { Percent.decode($0) } == #"filters={"label":{"a b":true,"c":true}}"#)
            asked.isBroken.withLock { $0 = true }
            #expect(
                harness.settle(until: {
                    harness.advance(by: .seconds(10))
                    return harness.metric("prometheus_sd_refresh_failures_total", ["mechanism": "docker"]) ?? 0 > 0
                }))
            #expect(harness.health?.state == .unhealthy)
            #expect(targets(harness).count == 1)
            #expect(harness.finish() == [])
        }

        private final class Asked: Sendable {
            let filters = Mutex("")
            let isBroken = Mutex(false)
        }

        @Test(
            "What cannot be is refused by name",
            arguments: [
                (#"host = "nowhere""#, "\"host\" is not an address"),
                ("host = \"unix:///x\"\nrefresh_interval = \"0s\"", "\"refresh_interval\" must be greater than 0"),
                ("port = 1", "host"),
                ("host = \"unix:///x\"\nfilter {\nname = \"a\"\n}", "values"),
            ])
        func refusals(body: String, problem: String) {
            let problems = ComponentHarness(DiscoveryDocker.self).evaluate(body)
            #expect(problems.contains { $0.contains(problem) }, "\(problems)")
        }
    }
}
