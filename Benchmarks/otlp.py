#!/usr/bin/env python3
"""What OTLP/HTTP in, a batch and OTLP/HTTP out cost: CPU and memory of the whole process, and what was lost.

Clients send export requests of 1,000 items over connections that stay open; a sink counts the items that arrive. CPU is
user and system time of the collector's process from /proc/PID/stat, memory its VmHWM.

    Benchmarks/otlp.py                   every signal, sent on as it is and compressed
    Benchmarks/otlp.py logs --items 500000
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
  http {
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
    logs    = [otelcol.exporter.otlphttp.out.input]
    traces  = [otelcol.exporter.otlphttp.out.input]
    metrics = [otelcol.exporter.otlphttp.out.input]
  }
}

otelcol.exporter.otlphttp "out" {
  client {
    endpoint    = "http://127.0.0.1:%(sink)d"
    compression = "%(compression)s"
  }
}
"""

EDIT = """
otelcol.processor.attributes "edit" {
  action {
    key    = "team"
    value  = "storage"
    action = "upsert"
  }
  output {
    logs    = [otelcol.processor.batch.b.input]
    traces  = [otelcol.processor.batch.b.input]
    metrics = [otelcol.processor.batch.b.input]
  }
}
"""


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


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    items = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        count = body.count(MARK)
        with Sink.lock:
            Sink.items += count
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


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


def send(port, path, body, count):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    done = 0
    while done < count:
        connection.request("POST", path, body, {"content-type": "application/x-protobuf"})
        response = connection.getresponse()
        response.read()
        if response.status == 200:
            done += 1
        elif response.status in (429, 503):
            time.sleep(0.01)
        else:
            raise SystemExit(f"the receiver answers {response.status}")


def wait_until(condition, what):
    end = time.monotonic() + 120
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"gave up waiting for {what}")
        time.sleep(0.02)


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def measure(signal_name, compression, edits, items):
    sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    Sink.items = 0
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "config.alloy")
        with open(path, "w") as file:
            file.write(PIPELINE % {
                "port": port, "sink": sink.server_address[1], "compression": compression,
                "edit": EDIT if edits else "",
                "first": "otelcol.processor.attributes.edit" if edits else "otelcol.processor.batch.b",
            })
        collector = subprocess.Popen([
            INVAR, "run", path, f"--storage.path={directory}/data", f"--server.http.listen-addr=127.0.0.1:{free_port()}",
        ], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: is_listening(port), "the receiver")
            body = request_body(signal_name)
            before = cpu_seconds(collector.pid)
            requests = items // ITEMS_PER_REQUEST // 4
            clients = [
                threading.Thread(target=send, args=(port, f"/v1/{signal_name}", body, requests)) for _ in range(4)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            sent = requests * 4 * ITEMS_PER_REQUEST
            wait_until(lambda: Sink.items >= sent, f"{sent} items, {Sink.items} arrived")
            used = cpu_seconds(collector.pid) - before
            return used / sent * 1e6, peak_mebibytes(collector.pid), len(body) / ITEMS_PER_REQUEST, Sink.items - sent
        finally:
            collector.send_signal(signal.SIGTERM)
            collector.wait()
            sink.shutdown()
            sink.server_close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("signals", nargs="*", default=["logs", "traces", "metrics"])
    arguments.add_argument("--items", type=int, default=400_000)
    chosen = arguments.parse_args()
    print("| signal | sent on | edited | bytes an item | CPU s per million items | peak RSS MiB | more than sent |")
    print("|---|---|---|---|---|---|---|")
    for name in chosen.signals:
        for compression, edits in (("none", False), ("none", True), ("gzip", False)):
            cpu, memory, size, excess = measure(name, compression, edits, chosen.items)
            how = "as it is" if compression == "none" else compression
            print(f"| {name} | {how} | {'one attribute' if edits else 'no'} | {size:.0f} | {cpu:.2f} | {memory:.0f} | "
                  f"{excess} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
