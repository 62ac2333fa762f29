"""The load balancing exporter between the OpenTelemetry SDK and several OTLP servers."""

import bisect
import json
import os
import subprocess
import zlib

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


def pipeline(port, endpoints):
    names = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
    return f"""
        otelcol.receiver.otlp "in" {{
            grpc {{ endpoint = "127.0.0.1:{port}" }}
            output {{ traces = [otelcol.exporter.loadbalancing.lb.input] }}
        }}
        otelcol.exporter.loadbalancing "lb" {{
            resolver {{
                static {{ hostnames = [{names}] }}
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
        with Invar(directory, pipeline(port, endpoints)) as invar:
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
        with Invar(directory, pipeline(port, endpoints)) as invar:
            servers.ask("stop", 2)
            sent = servers.ask("send", f"127.0.0.1:{port}", 300)
            points = ring(endpoints)
            waiting = [span for span in sent if owner(points, span) == endpoints[2]]
            check(waiting, "nothing waits")
            wait_until(lambda: sum(map(len, servers.state())) == len(sent) - len(waiting), 60, "the spans of the others")
            invar.write(pipeline(port, endpoints[:2]))
            status, answer = invar.reload()
            check(status == 200, answer)
            wait_until(lambda: sum(map(len, servers.state())) >= len(sent), 60, "the spans that waited")
            state = servers.state()
            check_whole(state)
            check(sorted(span for spans in state for span in spans) == sorted(sent), "spans differ")
            wait_until(lambda: balanced(invar), 30, "the books to balance")
            check(invar.ledger()["otelcol.exporter.loadbalancing.lb"]["dropped"] == [], "spans were dropped")
            check(invar.stop() == 0, "does not stop")
