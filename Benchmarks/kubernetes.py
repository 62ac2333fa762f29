#!/usr/bin/env python3
"""What watching a large cluster costs, and following many logs through its API server: CPU and memory of the whole process.

The API server is this process: it lists in pages, streams watches and logs over connections that stay open, and writes
what was asked. CPU is user and system time of the collector from /proc/PID/stat, memory its VmRSS and VmHWM.

    Benchmarks/kubernetes.py pods --pods 10000 --changes 50 --seconds 60
    Benchmarks/kubernetes.py logs --streams 5000 --lines 500 --seconds 60
    Benchmarks/kubernetes.py logs --tls

`pods` has so many `discovery.kubernetes` for each of so many selections, and each selection must be listed and watched
once; one of them feeds a `discovery.relabel`. Its changes are so many a minute. `logs` writes so many lines a second,
spread over the streams, and closes with how many of them came to the receiver and how many twice; with `--tls` over
HTTP/2, where streams share connections.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Tests", "EndToEnd"))

import wire
from otlp import INVAR, cpu_seconds, free_port, is_listening

PODS = """
logging {
  level = "warn"
}
%(discoveries)s
discovery.relabel "kept" {
  targets = discovery.kubernetes.s0_0.targets
  rule {
    source_labels = ["__meta_kubernetes_pod_label_app"]
    regex         = "app-1"
    action        = "keep"
  }
}
"""
DISCOVERY = """
discovery.kubernetes "%s" {
  role       = "pod"
  api_server = "%s"
  %s
}
"""
LOGS = """
logging {
  level = "warn"
}
discovery.kubernetes "pods" {
  role       = "pod"
  api_server = "%(server)s"
  tls_config {
    ca_file = "%(ca)s"
  }
}
loki.source.kubernetes "pods" {
  targets    = discovery.kubernetes.pods.targets
  forward_to = [loki.write.out.receiver]
  client {
    api_server = "%(server)s"
    tls_config {
      ca_file = "%(ca)s"
    }
  }
}
loki.write "out" {
  endpoint {
    url = "%(receiver)s/loki/api/v1/push"
  }
}
"""
NGINX = """
daemon off;
pid %(directory)s/nginx.pid;
error_log %(directory)s/nginx.log;
worker_processes 1;
worker_rlimit_nofile 65536;
events { worker_connections 32768; }
http {
  access_log off;
  client_body_temp_path %(directory)s/body;
  proxy_temp_path %(directory)s/proxy;
  server {
    listen 127.0.0.1:%(port)d ssl http2 backlog=4096;
    ssl_certificate %(certificate)s;
    ssl_certificate_key %(key)s;
    http2_max_concurrent_streams %(streams)d;
    keepalive_requests 1000000;
    location / {
      proxy_pass %(server)s;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
"""


def wait_until(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"gave up waiting for {what}")
        time.sleep(0.02)


def pod(number, version, note=""):
    """A pod with what real ones carry: labels, annotations, managed fields, volumes, conditions."""
    name = f"pod-{number:05d}"
    return {
        "metadata": {
            "name": name, "namespace": f"team-{number % 40}", "uid": f"00000000-0000-4000-8000-{number:012d}",
            "resourceVersion": str(version), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": f"app-{number % 200}", "pod-template-hash": f"{number % 997:08x}", "tier": "backend",
                       "app.kubernetes.io/name": f"app-{number % 200}", "app.kubernetes.io/part-of": "shop"},
            "annotations": {"checksum/config": f"{number:064x}", "note": note},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name[:-2], "controller": True}],
            "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {
                f"f:field-{index}": {"f:inner": {}} for index in range(40)}}]},
        "spec": {
            "nodeName": f"node-{number % 100}", "restartPolicy": "Always",
            "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
            "containers": [{"name": "main", "image": f"registry.local/app:{number % 7}",
                            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                            "env": [{"name": f"VARIABLE_{index}", "value": "x" * 20} for index in range(10)]}]},
        "status": {
            "phase": "Running", "podIP": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "hostIP": "192.168.0.1", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "main", "containerID": f"containerd://{number:064x}",
                                   "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}}


class Api:
    """Pods by number, their logs, and a receiver of what comes of them. Its loop has a thread of its own."""

    def __init__(self, pods):
        self.version = 1000
        self.objects = [json.dumps(pod(number, self.version)) for number in range(pods)]
        self.watchers, self.followers = [], {}
        self.lists, self.watches, self.logs, self.connections = 0, 0, 0, 0
        self.received, self.pushes = {}, 0
        self.loop = asyncio.new_event_loop()
        self.port = free_port()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self.serve, "127.0.0.1", self.port, backlog=8192, limit=1 << 26), self.loop).result()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def soon(self, body, *arguments):
        self.loop.call_soon_threadsafe(body, *arguments)

    def change(self, number, note):
        self.version += 1
        self.objects[number] = json.dumps(pod(number, self.version, note))
        event = f'{{"type":"MODIFIED","object":{self.objects[number]}}}\n'.encode()
        for writer in self.watchers:
            self.chunk(writer, event)

    def line(self, number, text):
        now = time.time_ns()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"
        for writer in self.followers.get(number, ()):
            self.chunk(writer, f"{stamp} {text}\n".encode())

    @staticmethod
    def chunk(writer, content):
        writer.write(b"%x\r\n%b\r\n" % (len(content), content))

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self.answer(reader, writer, head.decode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    async def answer(self, reader, writer, head):
        method, target, _ = head.split(" ", 2)
        url = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(url.query))
        if method == "POST":
            length = int(re.search(r"(?i)\r\ncontent-length: *(\d+)", head)[1])
            body = await reader.readexactly(length)
            self.pushes += 1
            for _, _, line in wire.loki_push(body):
                self.received[line] = self.received.get(line, 0) + 1
            return self.send(writer, b"")
        if url.path.endswith("/log"):
            return self.follow(writer, int(url.path.rsplit("/", 2)[1].split("-")[1]))
        if query.get("watch"):
            self.watches += 1
            self.begin(writer, "application/json")
            return self.watchers.append(writer)
        start = int(query.get("continue") or 0)
        if start == 0:
            self.lists += 1
        end = min(start + int(query.get("limit") or len(self.objects)), len(self.objects))
        more = f',"continue":"{end}"' if end < len(self.objects) else ""
        self.send(writer, (f'{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{self.version}"{more}}},'
                           f'"items":[{",".join(self.objects[start:end])}]}}').encode())
        await writer.drain()

    def follow(self, writer, number):
        self.logs += 1
        self.begin(writer, "text/plain")
        self.followers.setdefault(number, []).append(writer)

    @staticmethod
    def begin(writer, kind):
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    @staticmethod
    def send(writer, body):
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        writer.write(body)


class Front:
    """TLS and HTTP/2 in front of the API server, by Debian's nginx, with as many streams a connection as Kubernetes has."""

    STREAMS = 250

    def __init__(self, directory, server):
        self.port = free_port()
        self.certificate, key = os.path.join(directory, "server.crt"), os.path.join(directory, "server.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True)
        path = os.path.join(directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(NGINX % {"directory": directory, "port": self.port, "certificate": self.certificate, "key": key,
                                "server": server, "streams": self.STREAMS})
        self.process = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-p", directory, "-c", path])
        wait_until(lambda: is_listening(self.port), "nginx")

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    @property
    def connections(self):
        """Connections from clients that are open."""
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        return sum(1 for row in rows if row[3] == "01" and int(row[2].split(":")[1], 16) == self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Collector:
    def __init__(self, directory, configuration):
        path = os.path.join(directory, "config.alloy")
        with open(path, "w") as file:
            file.write(configuration)
        port = free_port()
        self.process = subprocess.Popen(
            [INVAR, "run", path, f"--storage.path={directory}/data", f"--server.http.listen-addr=127.0.0.1:{port}"])
        wait_until(lambda: is_listening(port), "the collector")

    def memory(self, field):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) / 1024
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def paced(seconds, total, body):
    """Calls `body` with 0 to `total`, evenly over so many seconds."""
    pause = threading.Event()
    begin = time.monotonic()
    for number in range(total):
        pause.wait(max(0, begin + (number + 1) * seconds / total - time.monotonic()))
        body(number)


def watch_pods(chosen):
    api = Api(chosen.pods)
    discoveries = ""
    for selection in range(chosen.selections):
        more = f'selectors {{\n    role  = "pod"\n    label = "tier=backend,app!=none-{selection}"\n  }}' if selection else ""
        for component in range(chosen.components):
            discoveries += DISCOVERY % (f"s{selection}_{component}", api.url, more)
    with tempfile.TemporaryDirectory() as directory, Collector(directory, PODS % {"discoveries": discoveries}) as collector:
        wait_until(lambda: api.watches >= chosen.selections, "every watch", 300)
        # What the lists left to do is not what a change costs.
        quiet = -1.0
        while (now := cpu_seconds(collector.process.pid)) - quiet > 0.02:
            quiet = now
            time.sleep(2)
        listed, before = collector.memory("VmRSS"), cpu_seconds(collector.process.pid)
        begin = time.monotonic()
        paced(chosen.seconds, max(1, round(chosen.changes * chosen.seconds / 60)),
              lambda number: api.soon(api.change, number * 37 % chosen.pods, f"change {number}"))
        cores = (cpu_seconds(collector.process.pid) - before) / (time.monotonic() - begin)
        print("| pods | changes a minute | lists | watches | CPU s to the first targets | RSS MiB | at the end | peak | cores |")
        print("|---|---|---|---|---|---|---|---|---|")
        print(f"| {chosen.pods} | {chosen.changes} | {api.lists} | {api.watches} | {before:.2f} | {listed:.0f} | "
              f"{collector.memory('VmRSS'):.0f} | {collector.memory('VmHWM'):.0f} | {cores:.4f} |")


def follow_logs(chosen):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    api = Api(chosen.streams)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        front = stack.enter_context(Front(directory, api.url)) if chosen.tls else api
        places = {"server": front.url, "receiver": api.url, "ca": front.certificate if chosen.tls else ""}
        collector = stack.enter_context(Collector(directory, LOGS % places))
        begin = time.monotonic()
        wait_until(lambda: len(api.followers) >= chosen.streams, f"{chosen.streams} streams", 600)
        opened = time.monotonic() - begin
        idle, before = collector.memory("VmRSS"), cpu_seconds(collector.process.pid)
        begin = time.monotonic()
        total = chosen.lines * chosen.seconds
        paced(chosen.seconds, total, lambda number: api.soon(api.line, number % chosen.streams, f"line {number:09d}"))
        cores = (cpu_seconds(collector.process.pid) - before) / (time.monotonic() - begin)
        try:
            wait_until(lambda: len(api.received) >= total, "every line", 60)
        except SystemExit as error:
            print(f"# {error}")
        twice = sum(1 for count in api.received.values() if count > 1)
        print("| streams | connections | s to open | lines a second | RSS MiB idle | at the end | peak | cores | arrived | twice |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        print(f"| {chosen.streams} | {front.connections} | {opened:.1f} | {chosen.lines} | {idle:.0f} | "
              f"{collector.memory('VmRSS'):.0f} | {collector.memory('VmHWM'):.0f} | {cores:.3f} | "
              f"{len(api.received)} of {total} | {twice} |")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=("pods", "logs"), nargs="?")
    arguments.add_argument("--pods", type=int, default=10_000)
    arguments.add_argument("--selections", type=int, default=1)
    arguments.add_argument("--components", type=int, default=1, help="for each selection")
    arguments.add_argument("--changes", type=int, default=50, help="pods that change a minute")
    arguments.add_argument("--streams", type=int, default=5_000)
    arguments.add_argument("--lines", type=int, default=500, help="lines a second over all streams")
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--tls", action="store_true", help="the logs over TLS and HTTP/2, by nginx, as of real API servers")
    chosen = arguments.parse_args()
    if chosen.what in (None, "pods"):
        watch_pods(chosen)
    if chosen.what in (None, "logs"):
        follow_logs(chosen)


if __name__ == "__main__":
    sys.exit(main())
