import AlloySyntax
import ComponentKit
import Console
import Essentials
import Foundation
import Runtime
import Telemetry
import TestKit
import Testing

@testable import InvarCLI

/// What items meet in whole configurations that are only loaded, with the program's own components.
@Suite("Following items through a configuration")
struct ExplainWalkTests {
    private func explain(
        _ configuration: String, _ kind: String, _ value: String, labels: String = "", line: String? = nil,
        at component: String = ""
    ) async throws -> ExplainReport {
        let directory = ComponentHarness.makeTemporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let engine = Engine(
            Engine.Choices(
                storagePath: directory, stability: .experimental, allowsCommunityComponents: true,
                memoryLimit: .mebibytes(256), writesLog: false, checksOnly: true))
        let loaded = await engine.runtime.load(ConfigurationSource(configuration))
        try #require(!loaded.diagnostics.hasErrors, "\(loaded.diagnostics)")
        let request = try ExplainRequest(
            kind: kind, value: value, labels: labels, line: line, component: component, now: 1_700_000_000_000_000_000)
        let report = try await engine.runtime.explain(request.item, at: request.component)
        // Explaining moves nothing: the books of every component are empty.
        for statement in engine.runtime.ledger() {
            #expect(statement.incoming == 0 && statement.outgoing == 0 && statement.dropped.isEmpty)
        }
        return report
    }

    private func stops(_ report: ExplainReport) -> [String] { report.stops.map(\.componentID) }

    private static let metrics = """
        discovery.kubernetes "pods" {
        	role = "pod"
        }

        discovery.docker "host" {
        	host = "unix:///var/run/docker.sock"
        }

        discovery.relabel "pods" {
        	targets = concat(discovery.kubernetes.pods.targets, discovery.docker.host.targets)

        	rule {
        		source_labels = ["__meta_kubernetes_pod_label_app"]
        		regex         = "keep.*"
        		action        = "keep"
        	}

        	rule {
        		source_labels = ["__meta_kubernetes_pod_name"]
        		target_label  = "pod"
        	}
        }

        prometheus.scrape "pods" {
        	targets    = discovery.relabel.pods.output
        	forward_to = [prometheus.relabel.all.receiver, prometheus.relabel.none.receiver]
        }

        prometheus.relabel "all" {
        	forward_to = [prometheus.remote_write.out.receiver]

        	rule {
        		target_label = "seen"
        		replacement  = "yes"
        	}
        }

        prometheus.relabel "none" {
        	forward_to = [prometheus.remote_write.out.receiver]

        	rule {
        		source_labels = ["pod"]
        		action        = "drop"
        	}
        }

        prometheus.remote_write "out" {
        	endpoint {
        		url = "http://example.com/push"
        	}
        }
        """

    @Test("A target goes from its discovery over the rules to every output, with the place of each rule")
    func target() async throws {
        let report = try await explain(
            Self.metrics, "labels",
            #"{__address__="10.0.0.1:80", __meta_kubernetes_pod_label_app="keeper", __meta_kubernetes_pod_name="p"}"#)
        #expect(
            stops(report) == [
                "discovery.kubernetes.pods", "discovery.relabel.pods", "prometheus.scrape.pods",
                "prometheus.relabel.all", "prometheus.remote_write.out", "prometheus.relabel.none",
            ])
        #expect(report.stops.map(\.previous) == [nil, 1, 2, 3, 4, 3])
        #expect(report.verdict == .delivered)
        let rules = report.stops[1].steps
        #expect(rules.map(\.position?.line) == [12, 18])
        #expect(rules.map(\.step.outcome) == [.kept, .changed])
        #expect(rules[0].text.hasPrefix("rule {\n") && rules[0].text.contains("keep.*"))
        #expect(report.stops[4].results.first?.destination == "remote write to http://example.com/push")
        #expect(report.stops[4].results.first?.item.labels["seen"] == "yes")
        #expect(report.stops[5].verdict == .dropped)
    }

    @Test("A target that no rule lets through is dropped, and the answer says by which rule")
    func dropped() async throws {
        let report = try await explain(
            Self.metrics, "labels", #"{"__address__": "h:80", "__meta_kubernetes_pod_label_app": "other"}"#)
        #expect(report.verdict == .dropped)
        #expect(stops(report) == ["discovery.kubernetes.pods", "discovery.relabel.pods"])
        let lines = ExplainText.lines(ExplainJSON.value(report))
        #expect(
            lines.last
                == #"verdict: dropped - discovery.relabel.pods: rule 1: keep [__meta_kubernetes_pod_label_app] =~ "keep.*""#
        )
        #expect(lines.contains { $0.contains("[config.alloy:12]") })
    }

    @Test("A series enters where samples are made, or where it is told to")
    func series() async throws {
        let report = try await explain(Self.metrics, "metric", #"http_requests{pod="p"}"#)
        #expect(stops(report).first == "prometheus.scrape.pods")
        let one = try await explain(Self.metrics, "metric", #"x{pod="p"}"#, at: "prometheus.relabel.none")
        #expect(stops(one) == ["prometheus.relabel.none"])
        #expect(one.verdict == .dropped)
    }

    @Test("What cannot be followed is refused with the reason")
    func refusals() async throws {
        for (kind, value, at, reason) in [
            ("log", "x", "", "no component of the configuration takes a log entry in"),
            ("metric", "x", "prometheus.relabel.missing", "there is no component \"prometheus.relabel.missing\""),
            ("metric", "{a=\"b\"}", "", "has no name"), ("labels", "{a}", "", "labels: "),
            ("trace", "12", "", "32 hexadecimal digits"), ("file", "a.log", "", "not an absolute path"),
            ("pod", "a b", "", "neither namespace/name nor an object"), ("thing", "x", "", "is none of labels, metric"),
        ] {
            do {
                _ = try await explain(Self.metrics, kind, value, at: at)
                Issue.record("\(kind)=\(value) was taken")
            } catch let error as ExplainError {
                #expect(error.description.contains(reason), "\(error)")
            }
        }
    }

    @Test("Items pass into and out of modules, for targets and for data")
    func modules() async throws {
        let report = try await explain(
            """
            declare "filter" {
            	argument "targets" { }
            	argument "out" { }

            	discovery.relabel "inner" {
            		targets = argument.targets.value

            		rule {
            			target_label = "inner"
            			replacement  = "1"
            		}
            	}

            	prometheus.relabel "data" {
            		forward_to = argument.out.value
            	}

            	export "targets" {
            		value = discovery.relabel.inner.output
            	}

            	export "receiver" {
            		value = prometheus.relabel.data.receiver
            	}
            }

            discovery.dns "d" {
            	names = ["example.com"]
            }

            filter "f" {
            	targets = discovery.dns.d.targets
            	out     = [prometheus.remote_write.out.receiver]
            }

            prometheus.scrape "s" {
            	targets    = filter.f.targets
            	forward_to = [filter.f.receiver]
            }

            prometheus.remote_write "out" {
            	endpoint {
            		url = "http://example.com/push"
            	}
            }
            """, "labels", #"{__address__="h:1"}"#)
        #expect(
            stops(report) == [
                "discovery.dns.d", "filter.f/discovery.relabel.inner", "prometheus.scrape.s",
                "filter.f/prometheus.relabel.data", "prometheus.remote_write.out",
            ])
        #expect(report.verdict == .delivered)
        #expect(report.stops.last?.results.first?.item.labels["inner"] == "1")
    }

    @Test("A log line meets every stage; a file the target it belongs to")
    func logs() async throws {
        let configuration = """
            local.file_match "f" {
            	path_targets = [{"__path__" = "/var/log/*.log", "job" = "f"}]
            }

            loki.source.file "f" {
            	targets    = local.file_match.f.targets
            	forward_to = [loki.process.p.receiver]
            }

            loki.process "p" {
            	forward_to = [loki.write.w.receiver]

            	stage.match {
            		selector = "{job=\\"f\\"} |= \\"secret\\""
            		action   = "drop"
            	}

            	stage.static_labels {
            		values = {a = "b"}
            	}
            }

            loki.write "w" {
            	endpoint {
            		url = "http://example.com/loki/api/v1/push"
            	}
            }
            """
        let line = try await explain(configuration, "log", "a secret", labels: #"{job="f"}"#)
        #expect(stops(line) == ["loki.source.file.f", "loki.process.p"])
        #expect(line.verdict == .dropped)
        #expect(line.stops[1].steps.map(\.step.title) == ["stage.match"])
        #expect(line.stops[1].steps[0].position?.line == 13)
        let file = try await explain(configuration, "file", "/var/log/app.log", line: "hello")
        #expect(stops(file) == ["local.file_match.f", "loki.source.file.f", "loki.process.p", "loki.write.w"])
        #expect(file.verdict == .delivered)
        #expect(file.stops.last?.results.first?.item.labels == ["a": "b", "filename": "/var/log/app.log", "job": "f"])
        #expect(file.stops.last?.results.first?.item.line == "hello")
        let other = try await explain(configuration, "file", "/srv/app.txt")
        #expect(other.verdict == .dropped)
    }

    @Test("Long ways are cut: an answer stays small whatever the configuration")
    func bounds() async throws {
        let count = 60
        var text = "prometheus.scrape \"s\" {\n\ttargets = []\n\tforward_to = [prometheus.relabel.r0.receiver]\n}\n"
        // Each receiver twice as often as the one before: more ways than anybody can follow.
        for index in 0..<count {
            for name in ["r\(index)", "q\(index)"] {
                let next =
                    index + 1 < count
                    ? "[prometheus.relabel.r\(index + 1).receiver, prometheus.relabel.q\(index + 1).receiver]" : "[]"
                text += "prometheus.relabel \"\(name)\" {\n\tforward_to = \(next)\n}\n"
            }
        }
        let report = try await explain(text, "metric", "up")
        #expect(report.stops.count == 500)
        #expect(report.notes == ["the ways beyond the first 500 components are left out"])
    }

    @Test("Hostile questions are refused or answered, never a trap")
    func hostile() throws {
        let body = Array(
            #"{"item":"labels","value":"{a=\"b\", c=\"\\u00e9\"}","line":"x","at":"y","labels":{"k":"v"}}"#.utf8)
        let spans = Array(
            #"{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]},"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"n"}]}]}]}"#
                .utf8)
        func ask(_ bytes: [UInt8]) {
            _ = try? ExplainRequest(json: bytes, now: 1)
            for kind in ["labels", "metric", "log", "file", "pod", "trace", "otlp"] {
                _ = try? ExplainRequest(kind: kind, value: String(decoding: bytes, as: UTF8.self), now: 1)
            }
        }
        for text in [body, spans] {
            for end in 0...text.count { ask(Array(text[..<end])) }
            for index in text.indices {
                for byte in [0x22, 0x7B, 0x5D, 0x5C, 0xFF, 0x30] as [UInt8] {
                    var changed = text
                    changed[index] = byte
                    ask(changed)
                }
            }
        }
        let deep = String(repeating: "[", count: 5000)
        for kind in ["labels", "pod", "otlp"] { _ = try? ExplainRequest(kind: kind, value: deep, now: 1) }
        #expect(throws: ExplainError.self) {
            try ExplainRequest(kind: "log", value: String(repeating: "x", count: 70_000), now: 1)
        }
    }

    @Test("What only a running component could tell is said to be unknown")
    func unknown() async throws {
        let report = try await explain(
            """
            remote.kubernetes.configmap "c" {
            	namespace = "n"
            	name      = "c"
            }

            prometheus.scrape "s" {
            	targets    = [{"__address__" = "h:1"}]
            	forward_to = [prometheus.relabel.r.receiver]
            	job_name   = remote.kubernetes.configmap.c.data["job"]
            }

            prometheus.relabel "r" {
            	forward_to = [prometheus.echo.e.receiver]
            }

            prometheus.echo "e" { }
            """, "labels", #"{__address__="h:1"}"#)
        #expect(stops(report).first == "prometheus.scrape.s")
        #expect(report.stops[0].notes.contains { $0.contains("remote.kubernetes.configmap.c.data") })
    }
}
