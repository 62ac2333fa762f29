#!/usr/bin/env python3
"""What OTLP in, a batch and OTLP out cost: CPU and memory of the whole process, and what was lost.

Clients send export requests of 1,000 items over connections that stay open; a sink counts the items that arrive. CPU is
user and system time of the collector's process from /proc/PID/stat, memory its VmHWM.

    Benchmarks/otlp.py                   every signal over HTTP and gRPC, sent on as it is and compressed
    Benchmarks/otlp.py logs --items 500000
    Benchmarks/otlp.py logs --edits rename --protocols http --one-core
    Benchmarks/otlp.py --one-core        the collector has one core, the clients and the sink the others
    Benchmarks/otlp.py --overload 600    a sink that takes half of what is sent, for so many seconds
"""

import argparse
import gzip
import http.client
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

try:
    import grpc
except ImportError:
    grpc = None

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INVAR = os.environ.get("INVAR_BINARY", os.path.join(ROOT, ".build", "release", "invar"))
TICK = os.sysconf("SC_CLK_TCK")
ITEMS_PER_REQUEST = 1000
# Stands in every item once: what the sink counts.
MARK = b"bench.item"

PIPELINE = """
logging {
  level = "warn"
}

otelcol.receiver.otlp "in" {
  %(protocol)s {
    endpoint = "127.0.0.1:%(port)d"
  }
  output {
    logs    = [%(first)s.input]
    traces  = [%(first)s.input]
    metrics = [%(first)s.input]
  }
}
%(edit)s
otelcol.processor.batch "b" {
  output {
    logs    = [%(exporter)s.out.input]
    traces  = [%(exporter)s.out.input]
    metrics = [%(exporter)s.out.input]
  }
}

%(exporter)s "out" {
  client {
    endpoint    = "http://127.0.0.1:%(sink)d"
    compression = "%(compression)s"
  }
}
"""

EDIT = """
otelcol.processor.attributes "edit" {
%s
  output {
    logs    = [otelcol.processor.batch.b.input]
    traces  = [otelcol.processor.batch.b.input]
    metrics = [otelcol.processor.batch.b.input]
  }
}
"""

# What may happen to every item on its way, as actions.
EDITS = {
    "no": "",
    "one attribute": """
  action {
    key    = "team"
    value  = "storage"
    action = "upsert"
  }
""",
    "rename": """
  action {
    key            = "http.request.method"
    from_attribute = "http.method"
    action         = "insert"
  }
  action {
    key    = "http.method"
    action = "delete"
  }
""",
}


# Protobuf, as much of it as the requests need.
def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def fixed64(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def attribute(number, key, value):
    return field(number, field(1, key.encode()) + field(2, field(1, value.encode())))


def item(signal_name, number):
    now = time.time_ns()
    shared = [("http.method", "GET"), ("http.route", f"/v1/objects/{number % 97}"), ("net.peer.name", "10.0.12.7")]
    if signal_name == "logs":
        text = f"request {number} to bucket data-{number % 31} took {number % 900} ms"
        body = fixed64(1, now) + b"\x10\x09" + field(3, b"INFO") + field(5, field(1, text.encode()))
        return body + b"".join(attribute(6, *pair) for pair in shared) + attribute(6, MARK.decode(), str(number))
    if signal_name == "traces":
        body = field(1, os.urandom(16)) + field(2, os.urandom(8)) + field(4, os.urandom(8))
        body += field(5, b"GET /v1/objects") + b"\x30\x02" + fixed64(7, now) + fixed64(8, now + 1000000)
        return body + b"".join(attribute(9, *pair) for pair in shared) + attribute(9, MARK.decode(), str(number))
    point = fixed64(2, now - 60 * 10**9) + fixed64(3, now) + fixed64(6, number)
    point += b"".join(attribute(7, *pair) for pair in shared) + attribute(7, MARK.decode(), str(number))
    return field(1, b"requests.count") + field(3, b"1") + field(7, field(1, point) + b"\x10\x02\x18\x01")


def request_body(signal_name):
    items = b"".join(field(2, item(signal_name, number)) for number in range(ITEMS_PER_REQUEST))
    resource = field(1, attribute(1, "service.name", "bench") + attribute(1, "host.name", "node-1"))
    return field(1, resource + field(2, field(1, field(1, b"bench")) + items))


class Tally:
    """Counts what arrives; takes no more than `rate` items a second where there is one."""

    def __init__(self, rate=None):
        self.items, self.rate = 0, rate
        self.lock, self.gate = threading.Lock(), threading.Lock()

    def take(self, body):
        count = body.count(MARK)
        with self.lock:
            self.items += count
            seconds = count / self.rate if self.rate else 0
        if seconds:
            with self.gate:
                time.sleep(seconds)


class HTTPSink:
    def __init__(self, tally):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                tally.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class GRPCSink:
    def __init__(self, tally):
        def answer(body, context):
            tally.take(body)
            return b""

        handler = grpc.unary_unary_rpc_method_handler(answer, lambda data: data, lambda data: data)

        class Services(grpc.GenericRpcHandler):
            def service(self, call):
                return handler

        self.server = grpc.server(ThreadPoolExecutor(16), handlers=[Services()])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_mebibytes(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024


class HTTPClient:
    def __init__(self, port, signal_name):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.path = f"/v1/{signal_name}"
        self.refusals = Counter()

    def send(self, body):
        """Whether the body was taken; it may be sent again if not."""
        self.connection.request("POST", self.path, body, {"content-type": "application/x-protobuf"})
        response = self.connection.getresponse()
        response.read()
        if response.status not in (200, 429, 503):
            raise SystemExit(f"the receiver answers {response.status}")
        if response.status != 200:
            self.refusals[response.status] += 1
        return response.status == 200


class GRPCClient:
    SERVICES = {"logs": "logs.v1.LogsService", "traces": "trace.v1.TraceService", "metrics": "metrics.v1.MetricsService"}

    def __init__(self, port, signal_name):
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        self.call = self.channel.unary_unary(
            f"/opentelemetry.proto.collector.{self.SERVICES[signal_name]}/Export", lambda data: data, lambda data: data)

        self.refusals = Counter()

    def send(self, body):
        try:
            self.call(body, timeout=60)
            return True
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE):
                raise SystemExit(f"the receiver answers {error.code()}: {error.details()}")
            self.refusals[error.code().name] += 1
            return False


def send(client, body, count):
    done = 0
    while done < count:
        if client.send(body):
            done += 1
        else:
            time.sleep(0.01)


def resident_mebibytes(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def wait_until(condition, what):
    end = time.monotonic() + 120
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"gave up waiting for {what}")
        time.sleep(0.02)


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Collector:
    """The program with a pipeline, from when its receiver listens until the end of the block."""

    def __init__(self, protocol, compression, edits, tally, pinned=False):
        self.sink = (GRPCSink if protocol == "grpc" else HTTPSink)(tally)
        self.directory = tempfile.TemporaryDirectory()
        self.port, self.console = free_port(), free_port()
        self.cores = [next(iter(os.sched_getaffinity(0)))] if pinned else None
        path = os.path.join(self.directory.name, "config.alloy")
        with open(path, "w") as file:
            file.write(PIPELINE % {
                "protocol": protocol, "port": self.port, "sink": self.sink.port, "compression": compression,
                "exporter": "otelcol.exporter.otlp" if protocol == "grpc" else "otelcol.exporter.otlphttp",
                "edit": EDIT % EDITS[edits] if EDITS[edits] else "",
                "first": "otelcol.processor.attributes.edit" if EDITS[edits] else "otelcol.processor.batch.b",
            })
        self.command = [
            INVAR, "run", path, f"--storage.path={self.directory.name}/data",
            f"--server.http.listen-addr=127.0.0.1:{self.console}"]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stderr=subprocess.DEVNULL,
            preexec_fn=(lambda: os.sched_setaffinity(0, self.cores)) if self.cores else None)
        self.pid = self.process.pid
        wait_until(lambda: is_listening(self.port), "the receiver")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.sink.stop()
        self.directory.cleanup()


def client_for(protocol):
    return GRPCClient if protocol == "grpc" else HTTPClient


def measure(signal_name, protocol, compression, edits, items, one_core):
    tally = Tally()
    with Collector(protocol, compression, edits, tally, pinned=one_core) as collector:
        body = request_body(signal_name)
        before, began = cpu_seconds(collector.pid), time.monotonic()
        requests = items // ITEMS_PER_REQUEST // 4
        clients = [
            threading.Thread(target=send, args=(client_for(protocol)(collector.port, signal_name), body, requests))
            for _ in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        sent = requests * 4 * ITEMS_PER_REQUEST
        wait_until(lambda: tally.items >= sent, f"{sent} items, {tally.items} arrived")
        used, took = cpu_seconds(collector.pid) - before, time.monotonic() - began
        return (used / sent * 1e6, sent / took, peak_mebibytes(collector.pid), len(body) / ITEMS_PER_REQUEST,
                tally.items - sent)


def overload(signal_name, protocol, seconds, rate):
    """Sends twice what the sink takes; memory by the tenth of the time, and what became of the requests."""
    tally = Tally(rate)
    taken, refused, refusals, broken, lock = [0], [0], Counter(), [], threading.Lock()
    body = request_body(signal_name)
    with Collector(protocol, "none", "no", tally) as collector:
        end = time.monotonic() + seconds
        pause = 4 * ITEMS_PER_REQUEST / (2 * rate)

        def push():
            client, next_time = client_for(protocol)(collector.port, signal_name), time.monotonic()
            try:
                while time.monotonic() < end:
                    answer = client.send(body)
                    with lock:
                        (taken if answer else refused)[0] += 1
                    next_time += pause
                    time.sleep(max(0, next_time - time.monotonic()))
            except BaseException as error:
                # In a thread it would end this client only, and so the overload.
                broken.append(error)
            with lock:
                refusals.update(client.refusals)

        clients = [threading.Thread(target=push) for _ in range(4)]
        for client in clients:
            client.start()
        resident = []
        for step in range(10):
            time.sleep(max(0, end - time.monotonic() - seconds * (9 - step) / 10))
            resident.append(resident_mebibytes(collector.pid))
        for client in clients:
            client.join()
        if broken:
            raise SystemExit(f"a client failed: {broken[0]}")
        tally.rate = None
        wait_until(lambda: tally.items >= taken[0] * ITEMS_PER_REQUEST, "what was taken")
        print(f"{signal_name} over {protocol}, {2 * rate} items/s sent, {rate} taken, {seconds} s: {taken[0]} requests "
              f"taken, {refused[0]} refused ({dict(refusals)}), {tally.items - taken[0] * ITEMS_PER_REQUEST} items more than taken; "
              f"resident MiB {', '.join(f'{size:.0f}' for size in resident)}, "
              f"peak {peak_mebibytes(collector.pid):.0f}", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("signals", nargs="*", default=["logs", "traces", "metrics"])
    arguments.add_argument("--items", type=int, default=400_000)
    arguments.add_argument("--protocols", default="http,grpc" if grpc else "http", help="http, grpc or both")
    arguments.add_argument("--edits", help=f"only these, separated by commas: {', '.join(EDITS)}")
    arguments.add_argument("--one-core", action="store_true")
    arguments.add_argument("--overload", type=int, metavar="SECONDS")
    arguments.add_argument("--rate", type=int, default=50_000, help="items a second that the overloaded sink takes")
    chosen = arguments.parse_args()
    protocols = chosen.protocols.split(",")
    if "grpc" in protocols and not grpc:
        raise SystemExit("grpcio is not installed for this Python: .venv/bin/python has it after `make test`")
    if chosen.overload:
        for name in chosen.signals:
            for protocol in protocols:
                overload(name, protocol, chosen.overload, chosen.rate)
        return
    print("| signal | protocol | sent on | edited | bytes an item | CPU s per million items | items/s | peak RSS MiB | "
          "more than sent |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in chosen.signals:
        for protocol in protocols:
            for compression, edits in (("none", "no"), ("none", "one attribute"), ("none", "rename"), ("gzip", "no")):
                if chosen.edits and (edits not in chosen.edits.split(",") or compression != "none"):
                    continue
                cpu, rate, memory, size, excess = measure(
                    name, protocol, compression, edits, chosen.items, chosen.one_core)
                how = "as it is" if compression == "none" else compression
                print(f"| {name} | {protocol} | {how} | {edits} | {size:.0f} | {cpu:.2f} | "
                      f"{rate:.0f} | {memory:.0f} | {excess} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
