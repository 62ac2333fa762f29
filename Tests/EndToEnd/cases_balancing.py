"""The load balancing exporter between the OpenTelemetry SDK and several OTLP servers."""

import bisect
import json
import os
import subprocess
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import kubernetes
from cases_kubernetes import kubeconfig
from cases_otel import PYTHON
from harness import Invar, Skip, check, free_port, wait_until


class Servers:
    """balance_peer.py in a process of its own."""

    def __init__(self, directory):
        probe = subprocess.run(
            [PYTHON, "-c", "import opentelemetry.exporter.otlp.proto.grpc"], capture_output=True
        ) if os.path.exists(PYTHON) else None
        if probe is None or probe.returncode != 0:
            raise Skip("the OpenTelemetry SDK is missing: Scripts/install-dependencies.sh test")
        self.log = open(f"{directory}/peer.log", "w")
        self.process = subprocess.Popen(
            [PYTHON, os.path.join(os.path.dirname(os.path.abspath(__file__)), "balance_peer.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.ports = json.loads(self.process.stdout.readline())

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def state(self):
        return self.ask("state")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.log.close()


def static(endpoints):
    names = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
    return f"static {{ hostnames = [{names}] }}"


def pipeline(port, resolver):
    return f"""
        otelcol.receiver.otlp "in" {{
            grpc {{ endpoint = "127.0.0.1:{port}" }}
            output {{ traces = [otelcol.exporter.loadbalancing.lb.input] }}
        }}
        otelcol.exporter.loadbalancing "lb" {{
            resolver {{
                {resolver}
            }}
            protocol {{
                otlp {{
                    client {{
                        tls {{ insecure = true }}
                    }}
                    retry {{
                        initial_interval = "200ms"
                        max_interval     = "500ms"
                    }}
                }}
            }}
        }}
        """


def ring(endpoints):
    """The hash ring of the OpenTelemetry Collector, computed here: positions with their endpoints, sorted."""
    taken = {}
    for endpoint in sorted(endpoints):
        for number in range(100):
            taken.setdefault(zlib.crc32(endpoint.encode() + bytes([number])) % 36000, endpoint)
    return sorted(taken.items())


def owner(points, span):
    place = bisect.bisect_left(points, (zlib.crc32(bytes.fromhex(span.split("/")[0])) % 36000, ""))
    return points[place % len(points)][1]


def check_whole(state):
    """Every trace is at one server only, and every span there is once."""
    where = {}
    for number, spans in enumerate(state):
        check(len(set(spans)) == len(spans), f"server {number} has spans twice")
        for span in spans:
            check(where.setdefault(span.split("/")[0], number) == number, f"{span} is not with the rest of its trace")


def balanced(invar):
    books = invar.ledger()["otelcol.exporter.loadbalancing.lb"]
    return books["unaccounted"] == 0 and all(each["items"] == 0 for each in books["held"])


def case_loadbalancing_traces(directory):
    """Traces come whole and once, each to the server of the ring; a server that is away gets its own when it is back."""
    with Servers(directory) as servers:
        port = free_port()
        endpoints = [f"127.0.0.1:{each}" for each in servers.ports]
        with Invar(directory, pipeline(port, static(endpoints))) as invar:
            sent = servers.ask("send", f"127.0.0.1:{port}", 400)
            check(len(sent) == 1600, f"{len(sent)} spans")
            wait_until(lambda: sum(map(len, servers.state())) >= len(sent), 60, "the spans at the servers")
            state = servers.state()
            check_whole(state)
            points = ring(endpoints)
            for endpoint, spans in zip(endpoints, state):
                check(spans and all(owner(points, span) == endpoint for span in spans), f"spans are not {endpoint}'s")

            servers.ask("stop", 1)
            more = servers.ask("send", f"127.0.0.1:{port}", 200)
            theirs = [span for span in more if owner(points, span) == endpoints[1]]
            check(theirs, "the server that is away has no traces of its own")
            expected = len(sent) + len(more) - len(theirs)
            wait_until(lambda: sum(map(len, servers.state())) >= expected, 60, "the spans of the others")
            servers.ask("start", 1)
            wait_until(lambda: sum(map(len, servers.state())) >= len(sent) + len(more), 60, "the rest of the spans")
            state = servers.state()
            check_whole(state)
            check(sorted(span for spans in state for span in spans) == sorted(sent + more), "spans differ")
            check(set(theirs) <= set(state[1]), "spans went to others")
            wait_until(lambda: balanced(invar), 30, "the books to balance")
            check(invar.metric("otelcol_loadbalancer_num_backends", resolver="static") == 3, "backends")
            check(invar.stop() == 0, "does not stop")


def case_loadbalancing_server_leaves(directory):
    """What waits for a server that is taken off the list goes to the others, and nothing is lost or sent twice."""
    with Servers(directory) as servers:
        port = free_port()
        endpoints = [f"127.0.0.1:{each}" for each in servers.ports]
        with Invar(directory, pipeline(port, static(endpoints))) as invar:
            servers.ask("stop", 2)
            sent = servers.ask("send", f"127.0.0.1:{port}", 300)
            points = ring(endpoints)
            waiting = [span for span in sent if owner(points, span) == endpoints[2]]
            check(waiting, "nothing waits")
            wait_until(lambda: sum(map(len, servers.state())) == len(sent) - len(waiting), 60, "the spans of the others")
            invar.write(pipeline(port, static(endpoints[:2])))
            status, answer = invar.reload()
            check(status == 200, answer)
            wait_until(lambda: sum(map(len, servers.state())) >= len(sent), 60, "the spans that waited")
            state = servers.state()
            check_whole(state)
            check(sorted(span for spans in state for span in spans) == sorted(sent), "spans differ")
            wait_until(lambda: balanced(invar), 30, "the books to balance")
            check(invar.ledger()["otelcol.exporter.loadbalancing.lb"]["dropped"] == [], "spans were dropped")
            check(invar.stop() == 0, "does not stop")


def case_loadbalancing_stops(directory):
    """A server that is away does not keep the program from stopping; new arguments cost nothing of what waits for it."""
    with Servers(directory) as servers:
        port = free_port()
        endpoints = [f"127.0.0.1:{each}" for each in servers.ports]
        with Invar(directory, pipeline(port, static(endpoints))) as invar:
            servers.ask("stop", 0)
            sent = servers.ask("send", f"127.0.0.1:{port}", 100)
            invar.write(pipeline(port, static(endpoints)).replace('"200ms"', '"100ms"'))
            check(invar.reload()[0] == 200, "cannot be reloaded")
            servers.ask("start", 0)
            sent += servers.ask("send", f"127.0.0.1:{port}", 100)
            wait_until(lambda: sum(map(len, servers.state())) >= len(sent), 60, "the spans of before and after")
            check_whole(servers.state())
            check(invar.ledger()["otelcol.exporter.loadbalancing.lb"]["dropped"] == [], "spans were dropped")
            wait_until(lambda: balanced(invar), 30, "the books to balance")
            servers.ask("stop", 0)
            servers.ask("send", f"127.0.0.1:{port}", 100)
            check(invar.stop() == 0, "does not stop")


def check_sending(servers, invar, port, resolver):
    """Traces sent now come whole to the three servers."""
    wait_until(lambda: invar.metric("otelcol_loadbalancer_num_backends", resolver=resolver) == 3, 30, "three endpoints")
    sent = servers.ask("send", f"127.0.0.1:{port}", 100)
    wait_until(lambda: sum(map(len, servers.state())) >= len(sent), 60, "the spans at the servers")
    state = servers.state()
    check_whole(state)
    check(all(state) and sorted(span for spans in state for span in spans) == sorted(sent), "spans differ")


def case_loadbalancing_kubernetes(directory):
    """Endpoints of a Kubernetes service, which come while the program runs."""
    with Servers(directory) as servers, kubernetes.Api("sesame") as api:
        port = free_port()
        item = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [],
                "metadata": {"name": "pool-x", "namespace": "tracing",
                             "labels": {"kubernetes.io/service-name": "pool"}}}
        api.put("endpointslices", {**item, "endpoints": [{"addresses": ["127.0.0.9"], "conditions": {"ready": False}}]})
        resolver = f"""kubernetes {{
            service = "pool.tracing"
            ports   = {servers.ports}
        }}"""
        environment = {"KUBECONFIG": kubeconfig(directory, api, "sesame")}
        with Invar(directory, pipeline(port, resolver), environment=environment) as invar:
            wait_until(lambda: invar.metric("otelcol_loadbalancer_num_backends", resolver="k8s") == 0, 30, "the slice")
            api.put("endpointslices", {**item, "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]})
            check_sending(servers, invar, port, "k8s")
            check(invar.stop() == 0, "does not stop")


class CloudMap:
    """AWS Cloud Map's DiscoverInstances, as far as it is needed here."""

    def __init__(self, ports):
        self.asked = []
        cloud = self
        answer = json.dumps({"Instances": [
            {"InstanceId": str(port), "Attributes": {"AWS_INSTANCE_IPV4": "127.0.0.1", "AWS_INSTANCE_PORT": str(port)}}
            for port in ports]}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                cloud.asked.append((self.headers["X-Amz-Target"], self.headers["Authorization"], body))
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def case_loadbalancing_cloud_map(directory):
    """Endpoints registered in AWS Cloud Map, asked for with the credentials of the environment."""
    with Servers(directory) as servers, CloudMap(servers.ports) as cloud:
        port = free_port()
        resolver = """aws_cloud_map {
            namespace    = "mesh"
            service_name = "pool"
        }"""
        environment = {
            "AWS_ENDPOINT_URL_SERVICEDISCOVERY": cloud.url, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "sesame"}
        with Invar(directory, pipeline(port, resolver), environment=environment) as invar:
            check_sending(servers, invar, port, "aws")
            target, signature, body = cloud.asked[0]
            check(target == "Route53AutoNaming_v20170314.DiscoverInstances", target)
            check("Credential=AKID/" in signature and "/eu-central-1/servicediscovery/aws4_request" in signature, signature)
            check(body == {"NamespaceName": "mesh", "ServiceName": "pool", "HealthStatus": "HEALTHY"}, f"{body}")
            check(invar.stop() == 0, "does not stop")
            check("sesame" not in invar.log_text(), "the log has the secret")
