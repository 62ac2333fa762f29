import AlloySyntax
import ComponentKit
import Essentials
import Synchronization
import Telemetry
import TestKit
import Testing
import Transport
import Wire

@testable import OtelcolComponents

@Suite("Load balancing exporter")
struct LoadBalancingTests {
    /// One span for each trace; a trace is named by one byte.
    static func traces(_ ids: [UInt8], service: String = "shop") -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .traces)
        let resource = OTLPMessage()
        resource.clear(as: .resource)
        resource.attributes.set("service.name" as OTLPKey, to: service)
        assembler.begin(resource: resource)
        let item = OTLPMessage()
        for id in ids {
            item.clear(as: .span)
            [UInt8](repeating: id, count: 16).withRawBytes { item.set(OTLPField.Span.traceID, bytes: $0) }
            assembler.append(item)
        }
        return assembler.finish()
    }

    /// The first byte of the trace of every span.
    static func ids(_ batches: [OTLPBatch]) -> [UInt8] {
        var ids: [UInt8] = []
        let walker = OTLPWalker()
        for batch in batches {
            try? walker.walk(batch, to: .item) { level in
                if level == .item { ids.append(walker.span.traceID.first ?? 0) }
                return .keep
            }
        }
        return ids
    }

    // MARK: Routing

    @Test("Positions and endpoints are upstream's")
    func ring() {
        // Of CRC-32 as Python's zlib computes it.
        let ring = HashRing(["10.0.0.3:4317", "10.0.0.1:4317", "10.0.0.2:4317"])
        func endpoint(_ key: [UInt8]) -> String { ring.endpoints[ring.endpoint(at: HashRing.position(of: key))] }
        #expect(HashRing.position(of: Array("123456789".utf8)) == 0xCBF4_3926 % 36_000)
        let numbers = (0..<16).map { endpoint([UInt8](repeating: UInt8($0), count: 16)).dropFirst(7).first }
        #expect(String(numbers.compactMap(\.self)) == "2111233123131331")
        let two = HashRing(["endpoint-2", "endpoint-1"])
        func ofTwo(_ first: UInt8, _ second: UInt8) -> String {
            let key = [first, second] + [UInt8](repeating: 0, count: 14)
            return two.endpoints[two.endpoint(at: HashRing.position(of: key))]
        }
        #expect(ofTwo(1, 2) == "endpoint-1")
        #expect(ofTwo(128, 128) == "endpoint-2")
        #expect(HashRing(["a", "a"]) == HashRing(["a"]))
    }

    @Test("When an endpoint goes, only what was routed to it moves")
    func consistency() {
        let names = (1...5).map { "10.0.0.\($0):4317" }
        let (before, after) = (HashRing(names), HashRing(names.filter { $0 != "10.0.0.3:4317" }))
        for position in stride(from: UInt32(0), to: HashRing.positionCount, by: 7) {
            let old = before.endpoints[before.endpoint(at: position)]
            let new = after.endpoints[after.endpoint(at: position)]
            #expect(old == new || old == "10.0.0.3:4317")
        }
    }

    @Test("Batches are cut by the key, every item once")
    func splitting() throws {
        let ring = HashRing(["a", "b", "c"])
        let batch = Self.traces((0..<40).flatMap { [$0, $0] })
        let parts = try BatchRouter(key: .traceID).split(batch, over: ring)
        #expect(parts.count == 3)
        for (endpoint, part) in parts {
            for id in Self.ids([part]) {
                #expect(ring.endpoint(at: HashRing.position(of: [UInt8](repeating: id, count: 16))) == endpoint)
            }
        }
        #expect(Self.ids(parts.map(\.part)).sorted() == Self.ids([batch]).sorted())
        #expect(parts.reduce(0) { $0 + $1.part.itemCount } == 80)
        let byService = try BatchRouter(key: .service).split(batch, over: ring)
        #expect(byService.map(\.endpoint) == [ring.endpoint(at: HashRing.position(of: Array("shop".utf8)))])
        #expect(byService[0].part.chunks == batch.chunks)
        // Log records without a trace stay together by resource.
        #expect(try BatchRouter(key: .traceID).split(PipelineTests.logs(["a", "b"]), over: ring).count == 1)
    }

    @Test("Points of a metric go by their streams, the same in every process")
    func streams() throws {
        let points = (0..<30).map {
            #"{"asInt":"\#($0)","timeUnixNano":"1","attributes":[{"key":"n","value":{"intValue":"\#($0)"}}]}"#
        }
        let batch = try OTLPSample.metric("m", "gauge", points.joined(separator: ","))
        let ring = HashRing(["a", "b", "c"])
        let parts = try BatchRouter(key: .streamID).split(batch, over: ring)
        #expect(parts.count == 3)
        #expect(OTLPSample.points(parts.map(\.part)).sorted() == OTLPSample.points([batch]).sorted())
        #expect(parts.map(\.part.itemCount) == [10, 10, 10])
        for key in [RoutingKey.resource, .metric, .service] {
            #expect(try BatchRouter(key: key).split(batch, over: ring).count == 1)
        }
    }

    @Test("Keys are for the signals upstream has them for; metrics need the experimental stability")
    func signals() {
        func kinds(_ key: RoutingKey) -> [OTLPBatch.Kind] {
            OTLPBatch.Kind.allCases.filter { key.routes($0, minimumStability: .experimental) }
        }
        #expect(kinds(.traceID) == [.traces, .logs])
        #expect(kinds(.service) == [.traces, .metrics, .logs])
        for key in [RoutingKey.resource, .metric, .streamID] { #expect(kinds(key) == [.metrics]) }
        #expect(!RoutingKey.service.routes(.metrics, minimumStability: .generallyAvailable))
        #expect(RoutingKey.service.routes(.traces, minimumStability: .generallyAvailable))
    }

    // MARK: Arguments

    private func problems(_ body: String) -> String {
        ComponentHarness(OtelcolExporterLoadBalancing.self).evaluate(body).joined(separator: "\n")
    }

    private static let otlp = "protocol {\notlp {\nclient { }\n}\n}\n"
    private static let fixed = "resolver {\nstatic {\nhostnames = [\"a\"]\n}\n}\n"

    @Test("What cannot take effect is refused by name")
    func refusals() {
        #expect(problems(Self.otlp + Self.fixed) == "")
        #expect(problems("routing_key = \"attributes\"\n" + Self.otlp + Self.fixed).contains("should be one of"))
        #expect(problems(Self.otlp + "resolver { }").contains("one of static, dns"))
        let two = "resolver {\nstatic {\nhostnames = [\"a\"]\n}\ndns {\nhostname = \"b\"\n}\n}\n"
        #expect(problems(Self.otlp + two).contains("only one of"))
        #expect(problems(Self.otlp + Self.fixed.replacing("[\"a\"]", with: "[]")).contains("must not be empty"))
        #expect(problems(Self.otlp + Self.fixed.replacing("\"a\"", with: "\"a:x\"")).contains("no address"))
        let map =
            "resolver {\naws_cloud_map {\nnamespace = \"n\"\nservice_name = \"s\"\nhealth_status = \"SICK\"\n}\n}\n"
        #expect(problems(Self.otlp + map).contains("health_status"))
    }

    // MARK: Endpoints on real sockets

    /// Servers of OTLP in place of the endpoints.
    private final class Servers {
        let harnesses: [ComponentHarness]
        let addresses: [String]

        init(_ count: Int) throws {
            var (harnesses, addresses): ([ComponentHarness], [String]) = ([], [])
            for number in 0..<count {
                let harness = ComponentHarness(OtelcolReceiverOTLP.self, label: "s\(number)")
                #expect(
                    harness.start("grpc { endpoint = \"127.0.0.1:0\" }\noutput { traces = [recorder.otlp] }\n") == [])
                #expect(harness.settle(until: { harness.health?.state == .healthy }))
                guard case .string(let address)? = harness.instance.debugInfo["grpc_address"] else { throw Missing() }
                harnesses.append(harness)
                addresses.append(address)
            }
            self.harnesses = harnesses
            self.addresses = addresses
        }

        struct Missing: Error {}

        var ids: [[UInt8]] { harnesses.map { LoadBalancingTests.ids($0.otlp.batches) } }
        func settle() { for harness in harnesses { harness.settle() } }
        func finish() -> [String] { harnesses.flatMap { $0.finish() } }
    }

    private func body(_ addresses: some Sequence<String>, _ more: String = "", queue: String = "") -> String {
        """
        resolver {
            static { hostnames = [\(addresses.map { "\"\($0)\"" }.joined(separator: ", "))] }
        }
        protocol {
            otlp {
                client {
                    tls { insecure = true }
                }
                retry { initial_interval = "1s" }
                \(queue)
            }
        }
        \(more)
        """
    }

    private func settle(
        _ harness: ComponentHarness, _ servers: Servers, by step: Duration = .zero, until condition: () -> Bool
    ) -> Bool {
        harness.settle(until: {
            servers.settle()
            if step > .zero { harness.advance(by: step) }
            return condition()
        })
    }

    @Test("Each trace goes whole to the endpoint of the ring, and the books balance")
    func spreading() throws {
        let servers = try Servers(3)
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        #expect(harness.start(body(servers.addresses)) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        let sent = (0..<60).flatMap { [UInt8($0), UInt8($0)] }
        for half in [sent.prefix(61), sent.dropFirst(61)] {
            try harness.run { try await input.consume(Self.traces(Array(half))) }
        }
        #expect(settle(harness, servers) { harness.instance.ledger.statement.outgoing == 120 })
        let ring = HashRing(servers.addresses)
        for (address, ids) in zip(servers.addresses, servers.ids) {
            #expect(!ids.isEmpty)
            for id in ids {
                let place = ring.endpoint(at: HashRing.position(of: [UInt8](repeating: id, count: 16)))
                #expect(ring.endpoints[place] == address)
            }
        }
        #expect(servers.ids.flatMap(\.self).sorted() == sent.sorted())
        #expect(harness.metric("otelcol_loadbalancer_num_backends", ["resolver": "static"]) == 3)
        #expect(harness.health?.state == .healthy)
        #expect(throws: DeliveryError.self) {
            try harness.run { try await input.consume(OTLPSample.metric("m", "gauge", #"{"asInt":"1"}"#)) }
        }
        #expect(harness.finish() == [])
        #expect(servers.finish() == [])
    }

    @Test("What waits for an endpoint that is taken off the list goes to the others; theirs is not disturbed")
    func vanishing() throws {
        let servers = try Servers(2)
        // Nobody listens on the port of discard, as a rule.
        let gone = "127.0.0.1:9"
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        #expect(harness.start(body(servers.addresses + [gone])) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        let sent = (0..<60).map { UInt8($0) }
        for id in sent { try harness.run { try await input.consume(Self.traces([id])) } }
        let ring = HashRing(servers.addresses + [gone])
        let stuck = sent.filter {
            ring.endpoints[ring.endpoint(at: HashRing.position(of: [UInt8](repeating: $0, count: 16)))] == gone
        }
        #expect(!stuck.isEmpty)
        #expect(settle(harness, servers) { servers.ids.flatMap(\.self).count == sent.count - stuck.count })
        #expect(harness.metric("otelcol_loadbalancer_backend_outcome_total", ["endpoint": gone]) != nil)
        harness.update(body(servers.addresses))
        #expect(settle(harness, servers) { servers.ids.flatMap(\.self).count == sent.count })
        #expect(servers.ids.flatMap(\.self).sorted() == sent)
        #expect(settle(harness, servers) { harness.instance.ledger.statement.outgoing == sent.count })
        #expect(
            settle(harness, servers) {
                harness.metric(
                    "otelcol_exporter_queue_size", ["exporter": "otelcol.exporter.loadbalancing.test/\(gone)"]) == nil
            })
        #expect(harness.instance.ledger.statement.droppedItems == 0)
        #expect(harness.finish() == [])
        #expect(servers.finish() == [])
    }

    @Test("An endpoint that is down holds up its own traces only, and gets them when it is back")
    func recovery() throws {
        let servers = try Servers(2)
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        #expect(harness.start(body(servers.addresses)) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        servers.harnesses[0].otlp.refuse { _ in .retry("later") }
        let sent = (0..<40).map { UInt8($0) }
        try harness.run { try await input.consume(Self.traces(sent)) }
        #expect(settle(harness, servers) { !servers.ids[1].isEmpty })
        #expect(servers.ids[0].isEmpty && servers.ids[1].count < sent.count)
        servers.harnesses[0].otlp.refuse(nil)
        #expect(
            settle(harness, servers, by: .seconds(1)) { harness.instance.ledger.statement.outgoing == sent.count })
        #expect(servers.ids.flatMap(\.self).sorted() == sent)
        #expect(harness.finish() == [])
        #expect(servers.finish() == [])
    }

    @Test("Without queues a part that one endpoint refuses is held and repeated, not the others' again")
    func partial() throws {
        let servers = try Servers(2)
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let queue = "queue { enabled = false }"
        let retry = #"retry_on_failure { initial_interval = "1s" }"#
        let text = body(servers.addresses, retry, queue: queue).replacing(
            #"retry { initial_interval = "1s" }"#, with: "retry { enabled = false }")
        #expect(harness.start(text) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        servers.harnesses[0].otlp.refuse { _ in .retry("later") }
        let sent = (0..<40).map { UInt8($0) }
        let done = Atomic(false)
        let sender = Task(executorPreference: harness.executor) {
            try await input.consume(Self.traces(sent))
            done.store(true, ordering: .relaxed)
        }
        #expect(settle(harness, servers) { done.load(ordering: .relaxed) })
        _ = sender
        #expect(servers.ids[0].isEmpty)
        #expect(
            harness.instance.ledger.statement.held.first { $0.name == "rerouting" }?.items == sent.count
                - servers.ids[1].count)
        servers.harnesses[0].otlp.refuse(nil)
        #expect(
            settle(harness, servers, by: .seconds(1)) { harness.instance.ledger.statement.outgoing == sent.count })
        #expect(servers.ids.flatMap(\.self).sorted() == sent)
        #expect(harness.finish() == [])
        #expect(servers.finish() == [])
    }

    @Test("What a resolver names that is no address takes no part; a bare address has the port of OTLP")
    func names() throws {
        #expect(
            ["a", "a:1", "[::1]", "[::1]:2", "10.0.0.1"].map(EndpointName.withPort) == [
                "a:4317", "a:1", "[::1]:4317", "[::1]:2", "10.0.0.1:4317",
            ])
        #expect(EndpointName.join("::1", "5") == "[::1]:5" && EndpointName.join("b", "") == "b")
        #expect(GRPCDialArguments.parse("[::1]:4317")?.host == "::1")
    }

    @Test("An endpoint that comes back while its old queue is emptied is a new one")
    func comingBack() throws {
        let servers = try Servers(2)
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        #expect(harness.start(body(servers.addresses)) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        servers.harnesses[0].otlp.refuse { _ in .retry("later") }
        let sent = (0..<40).map { UInt8($0) }
        try harness.run { try await input.consume(Self.traces(sent)) }
        #expect(settle(harness, servers) { !servers.ids[1].isEmpty })
        // All at once: the list changes twice before what is ending has ended.
        _ = harness.evaluate(body([servers.addresses[1]]))
        _ = harness.evaluate(body(servers.addresses))
        servers.harnesses[0].otlp.refuse(nil)
        #expect(
            settle(harness, servers, by: .seconds(1)) { harness.instance.ledger.statement.outgoing == sent.count })
        #expect(servers.ids.flatMap(\.self).sorted() == sent)
        for _ in 0..<3 {
            harness.update(body([servers.addresses[1]]))
            harness.update(body(servers.addresses))
        }
        try harness.run { try await input.consume(Self.traces(sent)) }
        #expect(settle(harness, servers) { harness.instance.ledger.statement.outgoing == 2 * sent.count })
        #expect(harness.instance.ledger.statement.droppedItems == 0)
        #expect(harness.finish() == [])
        #expect(servers.finish() == [])
    }

    @Test("While no endpoint is known the queue holds what comes")
    func noEndpoints() throws {
        let servers = try Servers(1)
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let none = "dns {\nhostname = \"nowhere.invalid\"\ntimeout = \"1s\"\n}"
        let text = body(servers.addresses, "sending_queue { }\nretry_on_failure { initial_interval = \"1s\" }")
        let first = text.split(separator: "\n").map { $0.contains("static") ? none : String($0) }
        #expect(harness.start(first.joined(separator: "\n")) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        try harness.run { try await input.consume(Self.traces([1, 2])) }
        #expect(harness.instance.ledger.statement.heldItems == 2)
        #expect(harness.settle(until: { harness.health?.state == .unhealthy }))
        harness.update(text)
        #expect(settle(harness, servers, by: .seconds(1)) { servers.ids == [[1, 2]] })
        #expect(settle(harness, servers) { harness.instance.ledger.statement.outgoing == 2 })
        #expect(harness.finish() == [])
        #expect(servers.finish() == [])
    }

    @Test(
        "What waits for endpoints and for a place among them goes to the new ring when the arguments change",
        arguments: ["", "queue { enabled = false }", "queue { wait_for_result = true }"])
    func changedArguments(queue: String) throws {
        let servers = try Servers(2)
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let outer = "sending_queue { }\nretry_on_failure { initial_interval = \"100s\" }\n"
        let slow = { (text: String) in text.replacing("initial_interval = \"1s\"", with: "initial_interval = \"100s\"")
        }
        // Nobody listens on the port of discard, as a rule.
        #expect(harness.start(slow(body(["127.0.0.1:9", servers.addresses[0]], outer, queue: queue))) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        let sent = (0..<80).map { UInt8($0) }
        for begin in stride(from: 0, to: 80, by: 10) {
            try harness.run { try await input.consume(Self.traces(Array(sent[begin..<begin + 10]))) }
        }
        #expect(settle(harness, servers) { servers.ids[0].count > 20 })
        #expect(harness.update(slow(body(servers.addresses, outer + "routing_key = \"service\"", queue: queue))) == [])
        #expect(settle(harness, servers) { servers.ids.flatMap(\.self).count >= sent.count })
        #expect(servers.ids.flatMap(\.self).sorted() == sent)
        #expect(settle(harness, servers) { harness.instance.ledger.statement.heldItems == 0 })
        #expect(harness.instance.ledger.statement.outgoing == sent.count)
        #expect(harness.instance.ledger.statement.droppedItems == 0)
        #expect(harness.finish() == [])
        #expect(servers.finish() == [])
    }

    @Test("Nothing is lost or sent twice while arguments change under load, back and forth")
    func changesUnderLoad() throws {
        let servers = try Servers(2)
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let texts = ["10s", "11s", "12s"].map { time in
            body(servers.addresses).replacing("retry {", with: "timeout = \"\(time)\"\nretry {")
        }
        #expect(harness.start(texts[0]) == [])
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        var sent: [UInt8] = []
        for round in 0..<40 {
            let ids = (0..<6).map { UInt8(round * 6 + $0) }
            // Between two lives senders are asked to come back.
            var isTaken = false
            while !isTaken {
                do {
                    try harness.run { try await input.consume(Self.traces(ids)) }
                    isTaken = true
                } catch let error as DeliveryError where error.isRetryable {
                    servers.settle()
                    harness.settle()
                }
            }
            sent += ids
            if round % 4 == 1 { #expect(harness.update(texts[round / 4 % 3]) == []) }
            if round % 12 == 5 {
                #expect(harness.update(texts[2]) == [])
                #expect(harness.update(texts[round / 4 % 3]) == [])
            }
        }
        #expect(
            settle(harness, servers, by: .seconds(1)) { harness.instance.ledger.statement.outgoing == sent.count })
        #expect(servers.ids.flatMap(\.self).sorted() == sent)
        #expect(harness.instance.ledger.statement.droppedItems == 0)
        #expect(harness.finish() == [])
        #expect(servers.finish() == [])
    }
}
