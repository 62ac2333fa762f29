"""Targets, logs and Secrets of a Kubernetes cluster, through a stand-in of its API server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import kubernetes
from cases_otel import Peer
from exposition import Targets, counting
from harness import Invar, check, free_port, request, wait_until
from sinks import LokiSink, OTLPSink, RemoteWriteSink


def kubeconfig(directory, api, token):
    path = f"{directory}/kubeconfig"
    with open(path, "w") as file:
        file.write(f"""
apiVersion: v1
kind: Config
current-context: x
clusters: [{{name: c, cluster: {{server: "{api.url}"}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
""")
    return path


def case_kubernetes_pods_are_scraped(directory):
    """An Alloy file as people write it: pods by annotation-like labels, relabelled, scraped, sent."""
    with Targets({"metrics": counting(3)}) as targets, RemoteWriteSink() as sink, kubernetes.Api("sesame") as api:
        ports = (("http", 1), ("metrics", targets.port))
        api.put("pods", kubernetes.pod("ais", "target-0", "node-a", "127.0.0.1", {"app": "ais"}, (("main", ports),)))
        api.put("pods", kubernetes.pod("ais", "other-0", "node-a", "127.0.0.2", {"app": "other"}, (("main", ports),)))
        for index in range(1200):
            api.put("pods", kubernetes.pod("many", f"p{index}", "node-b", f"127.1.{index // 250}.{index % 250}"))
        configuration = f"""
            discovery.kubernetes "pods" {{
                role            = "pod"
                kubeconfig_file = "{kubeconfig(directory, api, 'sesame')}"
            }}
            discovery.relabel "pods" {{
                targets = discovery.kubernetes.pods.targets
                rule {{
                    source_labels = ["__meta_kubernetes_pod_label_app", "__meta_kubernetes_pod_container_port_name"]
                    regex         = "ais;metrics"
                    action        = "keep"
                }}
                rule {{
                    source_labels = ["__meta_kubernetes_pod_name"]
                    target_label  = "pod"
                }}
            }}
            prometheus.scrape "pods" {{
                targets         = discovery.relabel.pods.output
                scrape_interval = "1s"
                scrape_timeout  = "900ms"
                forward_to      = [prometheus.remote_write.w.receiver]
            }}
            prometheus.remote_write "w" {{
                endpoint {{
                    url = "{sink.url}"
                    queue_config {{ batch_send_deadline = "1s" }}
                }}
            }}
            """
        def pods():
            return {pair[4:] for labels, _, _ in sink.items() for pair in labels.split(",") if pair.startswith("pod=")}
        with Invar(directory, configuration) as invar:
            wait_until(lambda: "target-0" in pods(), 60, "samples of the first pod")
            check(pods() == {"target-0"}, f"samples of {pods()}")
            check(sum("limit=500" in path and "pods" in path for path in api.requests) == 3, "the list is not paged")
            api.put("pods", kubernetes.pod("ais", "target-1", "node-b", "127.0.0.1", {"app": "ais"}, (("main", ports),)))
            wait_until(lambda: "target-1" in pods(), 60, "samples of the second pod")
            api.expire()
            api.put("pods", kubernetes.pod("ais", "target-2", "node-b", "127.0.0.1", {"app": "ais"}, (("main", ports),)))
            wait_until(lambda: "target-2" in pods(), 60, "samples of a pod that came after a version expired")
            check(invar.metric("prometheus_sd_kubernetes_events_total", role="pod", event="add") >= 1204, "events")
            print(f"# {invar.memory('VmHWM') >> 20} MiB at most")
            check(invar.stop() == 0, "does not stop")


def case_kubernetes_logs_arrive_once(directory):
    """Logs are followed through broken connections and a restart; every line arrives once."""
    with LokiSink() as sink, kubernetes.Api() as api:
        api.put("pods", kubernetes.pod(
            "ais", "target-0", "node-a", "10.0.0.1", {"app": "ais"}, (("main", (("a", 1), ("b", 2))), ("logs", ()))))
        api.put("pods", kubernetes.pod("ais", "target-1", "node-b", "10.0.0.2", {"app": "ais"}))
        configuration = f"""
            discovery.kubernetes "pods" {{
                role       = "pod"
                api_server = "{api.url}"
            }}
            discovery.relabel "pods" {{
                targets = discovery.kubernetes.pods.targets
                rule {{
                    source_labels = ["__meta_kubernetes_pod_name"]
                    target_label  = "pod"
                }}
                rule {{
                    source_labels = ["__meta_kubernetes_pod_container_name"]
                    target_label  = "container"
                }}
            }}
            loki.source.kubernetes "pods" {{
                targets    = discovery.relabel.pods.output
                forward_to = [loki.write.w.receiver]
                client {{ api_server = "{api.url}" }}
            }}
            loki.write "w" {{
                endpoint {{
                    url        = "{sink.url}"
                    batch_wait = "100ms"
                }}
            }}
            """
        written = []

        def write(count):
            for _ in range(count):
                number = len(written)
                # Ten lines share a time, and connections break between them.
                second, nanos = divmod(number // 10, 10)
                time = f"2026-01-01T00:{second // 60:02}:{second % 60:02}.{nanos:09}Z"
                api.log("ais", "target-0", "main", time, f"line {number}")
                written.append(f"line {number}")

        def seen():
            return [line.decode() if isinstance(line, bytes) else line for _, _, line in sink.items()]

        environment = {"K8S_NODE_NAME": "node-a"}
        write(25)
        with Invar(directory, configuration, environment=environment) as invar:
            wait_until(lambda: len(seen()) >= 25, 60, "the first lines")
            for _ in range(5):
                write(33)
                api.drop_streams()
                write(7)
                wait_until(lambda: len(seen()) >= len(written), 60, "the lines after a broken connection")
            warnings = [line for line in invar.log_text().splitlines() if "Logs of other nodes are read" in line]
            check(len(warnings) == 1 and "spec.nodeName" in warnings[0], f"{len(warnings)} warnings of foreign nodes")
            followed = [path for path in api.requests if "/target-0/log" in path and "container=main" in path]
            check(len(followed) <= 12, f"two ports are tailed twice: {len(followed)} requests")
            check(invar.stop() == 0, "does not stop")
        write(13)
        with Invar(directory, configuration, environment=environment) as invar:
            wait_until(lambda: len(seen()) >= len(written), 60, "the lines after a restart")
            check(invar.stop() == 0, "does not stop")
        check(seen() == written, f"{len(seen())} lines arrived, {len(written)} were written; sets equal: "
              f"{sorted(seen()) == sorted(written)}")


class TokenTarget:
    """A page of metrics that remembers the tokens it was asked with."""

    def __init__(self):
        self.tokens = []
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                target.tokens.append(self.headers.get("Authorization", ""))
                body = b"x 1\n"
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def case_kubernetes_secret_rotates(directory):
    """The token in use changes with the Secret, without a restart, and outlives its absence."""
    with TokenTarget() as target, kubernetes.Api() as api:
        api.put("secrets", kubernetes.secret("monitoring", "auth", {"api.token": "first"}))
        configuration = f"""
            remote.kubernetes.secret "auth" {{
                namespace      = "monitoring"
                name           = "auth"
                poll_frequency = "1s"
                poll_timeout   = "900ms"
                client {{ api_server = "{api.url}" }}
            }}
            prometheus.scrape "s" {{
                targets         = [{{"__address__" = "127.0.0.1:{target.port}"}}]
                scrape_interval = "1s"
                scrape_timeout  = "900ms"
                bearer_token    = remote.kubernetes.secret.auth.data["api.token"]
                forward_to      = []
            }}
            """
        with Invar(directory, configuration) as invar:
            pid = invar.pid
            wait_until(lambda: "Bearer first" in target.tokens, 30, "the first token")
            check(set(target.tokens) == {"Bearer first"}, f"asked with {set(target.tokens)}")
            api.delete("secrets", "monitoring", "auth")
            wait_until(
                lambda: invar.components()["remote.kubernetes.secret.auth"]["health"]["state"] == "unhealthy", 30,
                "the health to tell that the Secret is gone")
            seen = len(target.tokens)
            wait_until(lambda: len(target.tokens) > seen + 2, 30, "scrapes with the last good token")
            check(set(target.tokens) == {"Bearer first"}, f"asked with {set(target.tokens)}")
            api.put("secrets", kubernetes.secret("monitoring", "auth", {"api.token": "second", "extra": "x"}))
            wait_until(lambda: "Bearer second" in target.tokens, 30, "the second token")
            check(invar.pid == pid and invar.is_running(), "was restarted")
            text = invar.log_text()
            check("first" not in text and "second" not in text, "a token is in the log")
            check(invar.stop() == 0, "does not stop")


def case_kubernetes_secret_comes_later(directory):
    """A Secret that is not there yet is told; what needs it is given it as soon as it comes."""
    with TokenTarget() as target, kubernetes.Api() as api:
        configuration = f"""
            remote.kubernetes.secret "auth" {{
                namespace      = "monitoring"
                name           = "auth"
                poll_frequency = "1s"
                poll_timeout   = "900ms"
                client {{ api_server = "{api.url}" }}
            }}
            prometheus.scrape "s" {{
                targets         = [{{"__address__" = "127.0.0.1:{target.port}"}}]
                scrape_interval = "1s"
                scrape_timeout  = "900ms"
                bearer_token    = remote.kubernetes.secret.auth.data["token"]
                forward_to      = []
            }}
            """
        with Invar(directory, configuration) as invar:
            health = invar.components()["remote.kubernetes.secret.auth"]["health"]
            check(health["state"] == "unhealthy" and "not found" in health["message"], f"health is {health}")
            api.put("secrets", kubernetes.secret("monitoring", "auth", {"token": "late"}))
            wait_until(lambda: "Bearer late" in target.tokens, 30, "the token")
            check(invar.stop() == 0, "does not stop")


def case_kubernetes_attributes(directory):
    """Records sent by a pod come out with its attributes; what changes in the cluster changes them."""
    port = free_port()
    with kubernetes.Api("sesame") as api, OTLPSink() as sink:
        own = kubernetes.pod("shop", "web-6c45f8d6f6-x1", "node-a", "127.0.0.1", {"app": "web"})
        own["metadata"]["ownerReferences"] = [
            {"kind": "ReplicaSet", "name": "web-6c45f8d6f6", "uid": "r1", "controller": True}]
        api.put("pods", own)
        api.put("namespaces", {"metadata": {"name": "shop", "uid": "n1", "labels": {"team": "ops"}}})
        configuration = f"""
            otelcol.receiver.otlp "in" {{
                http {{ endpoint = "127.0.0.1:{port}" }}
                output {{ logs = [otelcol.processor.k8sattributes.k.input] }}
            }}
            otelcol.processor.k8sattributes "k" {{
                auth_type         = "kubeConfig"
                wait_for_metadata = true
                extract {{
                    metadata = ["k8s.pod.name", "k8s.deployment.name", "k8s.container.name", "service.instance.id"]
                    label {{
                        key  = "team"
                        from = "namespace"
                    }}
                }}
                output {{ logs = [otelcol.exporter.otlphttp.out.input] }}
            }}
            otelcol.exporter.otlphttp "out" {{
                encoding = "json"
                client {{
                    endpoint    = "{sink.url}"
                    compression = "none"
                }}
            }}"""
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]})

        def described():
            before = len(sink.items())
            try:
                if request(port, "/v1/logs", "POST", body, {"Content-Type": "application/json"})[0] != 200:
                    return None
            except OSError:
                return None
            wait_until(lambda: len(sink.items()) > before, 30, "the record")
            return sink.items()[before][0]

        with Invar(directory, configuration, environment={"KUBECONFIG": kubeconfig(directory, api, "sesame")}) as invar:
            expected = {
                "k8s.pod.name": "web-6c45f8d6f6-x1", "k8s.deployment.name": "web", "k8s.container.name": "main",
                "service.instance.id": "shop.web-6c45f8d6f6-x1.main", "k8s.namespace.labels.team": "ops"}
            wait_until(lambda: described() == expected, 30, "the pod's attributes")
            api.put("namespaces", {"metadata": {"name": "shop", "uid": "n1", "labels": {"team": "dev"}}})
            wait_until(lambda: described()["k8s.namespace.labels.team"] == "dev", 30, "the namespace's new label")
            check(invar.stop() == 0, "does not stop")


class Described:
    """What comes out of the program when the SDK sends all signals: the resources by signal."""

    def __init__(self, peer, sink, grpc, http):
        self.peer, self.sink = peer, sink
        self.endpoints = {"grpc": f"127.0.0.1:{grpc}", "http": f"127.0.0.1:{http}"}

    def resources(self, protocol):
        """Sends over the protocol; the one resource all spans, records and metrics have, without the SDK's own attributes."""
        before = len(self.sink.items())
        problems = self.peer.send(protocol, self.endpoints[protocol], "-")
        check(not problems, f"the SDK: {problems}")

        def arrived():
            items = self.sink.items()[before:]
            kinds = [kind for _, _, item in items for kind in ("spanId", "body", "sum", "histogram") if kind in item]
            return items if {k: kinds.count(k) for k in kinds} == {"spanId": 10, "body": 5, "sum": 1, "histogram": 1} else None

        items = wait_until(arrived, 30, f"what was sent over {protocol}")
        for resource, _, _ in items:
            check(resource["service.name"] == f"peer-{protocol}" and resource["telemetry.sdk.language"] == "python",
                  f"the SDK's own attributes are gone: {resource}")
        found = [{k: v for k, v in resource.items() if k.startswith(("k8s.", "pod", "container."))}
                 for resource, _, _ in items]
        check(all(resource == found[0] for resource in found), f"signals differ: {found}")
        return found[0]


def otlp_input(grpc, http, consumer, signals=("traces", "metrics", "logs")):
    outputs = "\n".join(f"{signal} = [{consumer}.input]" for signal in signals)
    return f"""
        otelcol.receiver.otlp "in" {{
            grpc {{ endpoint = "127.0.0.1:{grpc}" }}
            http {{ endpoint = "127.0.0.1:{http}" }}
            output {{
                {outputs}
            }}
        }}"""


def otlp_output(url):
    return f"""
        otelcol.exporter.otlphttp "out" {{
            encoding = "json"
            client {{
                endpoint    = "{url}"
                compression = "none"
            }}
        }}"""


def case_kubernetes_attributes_sdk(directory):
    """All signals of the SDK get the attributes of the pod they come from: changed, deleted and replaced ones, too."""
    grpc, http = free_port(), free_port()

    def own(name, team):
        pod = kubernetes.pod("shop", name, "node-a", "127.0.0.1", {"team": team})
        pod["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        pod["status"]["startTime"] = "2026-01-01T00:00:01Z"
        pod["metadata"]["ownerReferences"] = [
            {"kind": "ReplicaSet", "name": "web-6c45f8d6f6", "uid": "r1", "controller": True}]
        return pod

    def expected(name, team):
        return {
            "k8s.pod.name": name, "k8s.pod.uid": f"uid-{name}", "k8s.namespace.name": "shop", "k8s.node.name": "node-a",
            "k8s.deployment.name": "web", "k8s.pod.start_time": "2026-01-01T00:00:00Z",
            "container.image.name": "registry.local/main", "container.image.tag": "1", "k8s.pod.labels.team": team}

    with kubernetes.Api("sesame") as api, OTLPSink() as sink, Peer(directory) as peer:
        api.put("pods", own("web-1", "ops"))
        configuration = otlp_input(grpc, http, "otelcol.processor.k8sattributes.k") + otlp_output(sink.url) + """
            otelcol.processor.k8sattributes "k" {
                auth_type         = "kubeConfig"
                wait_for_metadata = true
                extract {
                    label { key = "team" }
                }
                output {
                    traces  = [otelcol.exporter.otlphttp.out.input]
                    metrics = [otelcol.exporter.otlphttp.out.input]
                    logs    = [otelcol.exporter.otlphttp.out.input]
                }
            }"""
        sent = Described(peer, sink, grpc, http)
        with Invar(directory, configuration, environment={"KUBECONFIG": kubeconfig(directory, api, "sesame")}) as invar:
            wait_until(lambda: "knows" in json.dumps(invar.components()["otelcol.processor.k8sattributes.k"]), 30,
                       "the pods")
            for protocol in ("grpc", "http"):
                found = sent.resources(protocol)
                check(found == expected("web-1", "ops"), f"over {protocol}: {found}")
            api.put("pods", own("web-1", "dev"))
            wait_until(lambda: sent.resources("grpc") == expected("web-1", "dev"), 30, "the changed pod")

            # Events come in order: who knows the other pod knows that the first one is gone.
            api.delete("pods", "shop", "web-1")
            api.put("pods", kubernetes.pod("shop", "other", "node-a", "10.9.9.9"))
            body = json.dumps({"resourceLogs": [{
                "resource": {"attributes": [{"key": "k8s.pod.ip", "value": {"stringValue": "10.9.9.9"}}]},
                "scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]})

            def knows_other():
                before = len(sink.items())
                request(http, "/v1/logs", "POST", body, {"Content-Type": "application/json"})
                wait_until(lambda: len(sink.items()) > before, 30, "the record")
                return sink.items()[before][0].get("k8s.pod.name") == "other"

            wait_until(knows_other, 30, "the other pod")
            found = sent.resources("http")
            check(found == expected("web-1", "dev"), f"within the grace period: {found}")
            api.put("pods", own("web-2", "ops"))
            wait_until(lambda: sent.resources("grpc") == expected("web-2", "ops"), 30, "the pod that has the address now")
            check(invar.stop() == 0, "does not stop")
            errors = [line for line in invar.log_text().splitlines() if "level=error" in line]
            check(not errors, f"errors: {errors}")


def case_kubernetes_targets_on_spans(directory):
    """Labels of targets that were discovered become attributes of the spans that come from their addresses."""
    grpc, http = free_port(), free_port()
    with kubernetes.Api("sesame") as api, OTLPSink() as sink, Peer(directory) as peer:
        api.put("pods", kubernetes.pod("shop", "web-1", "node-a", "127.0.0.1", {}, (("main", (("http", 80),)),)))
        configuration = otlp_input(grpc, http, "otelcol.processor.discovery.d", ["traces"]) + otlp_output(sink.url) + f"""
            discovery.kubernetes "pods" {{
                role            = "pod"
                kubeconfig_file = "{kubeconfig(directory, api, "sesame")}"
            }}
            discovery.relabel "pods" {{
                targets = discovery.kubernetes.pods.targets
                rule {{
                    source_labels = ["__meta_kubernetes_pod_name"]
                    target_label  = "pod"
                }}
                rule {{
                    source_labels = ["__meta_kubernetes_namespace"]
                    target_label  = "namespace"
                }}
            }}
            otelcol.processor.discovery "d" {{
                targets          = discovery.relabel.pods.output
                pod_associations = ["ip", "connection"]
                output {{ traces = [otelcol.exporter.otlphttp.out.input] }}
            }}"""
        with Invar(directory, configuration) as invar:
            def described(protocol, endpoint):
                before = len(sink.items())
                peer.send(protocol, endpoint, "-")
                wait_until(lambda: len(sink.items()) >= before + 10, 30, "the spans")
                return {(r.get("pod"), r.get("namespace")) for r, _, _ in sink.items()[before:]}

            for protocol, port in (("grpc", grpc), ("http", http)):
                wait_until(lambda: described(protocol, f"127.0.0.1:{port}") == {("web-1", "shop")}, 30, "the pod's labels")
            api.delete("pods", "shop", "web-1")
            api.put("pods", kubernetes.pod("shop", "web-2", "node-a", "127.0.0.1", {}, (("main", (("http", 80),)),)))
            wait_until(lambda: described("grpc", f"127.0.0.1:{grpc}") == {("web-2", "shop")}, 30, "the next pod's labels")
            check(invar.stop() == 0, "does not stop")
