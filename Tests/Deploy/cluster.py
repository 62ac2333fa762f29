#!/usr/bin/env python3
"""One environment's configuration, as it is rendered, on a node of a cluster that is made of this process.

Runs in mount and network namespaces of its own (`unshare -m -n`), where the names and ports the configuration has are
free to be taken: an API server that the program finds as from inside a pod, the cluster's own Prometheus and Loki, the
remote destination with its token server. Prints what arrived as JSON. Usage: cluster.py ENVIRONMENT PROGRAM DIRECTORY

The environment `mtls` is `default` with a remote destination that knows its clients by their certificates.
"""

import collections
import fcntl
import gzip
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "EndToEnd")]

import kubernetes
import wire
from certificates import Authority, MutualServer, common_name
from exposition import Targets, counting
from helmfile import Deployment
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

NODE = "node-a"
JOBS = {"aistore", "kube-state-metrics", "node-exporter", "integrations/cadvisor"}
LINES = 5
REMOTE, PROMETHEUS, LOKI = 8443, 9090, 80
NAMES = ("prometheus-kube-prometheus-prometheus.monitoring.svc.cluster.local",
         "loki-gateway.monitoring.svc.cluster.local")
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class World:
    """Every server but the API's, and what they were sent."""

    def __init__(self, certificates=None):
        self.lock = threading.Lock()
        self.clients = []
        self.metrics = collections.defaultdict(list)
        self.logs = collections.defaultdict(list)
        self.pushes = []
        self.tokens = collections.Counter()
        self.credentials = []
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if isinstance(self.server, MutualServer):
                    world.see(common_name(self.connection))
                answer = world.take(self.server.server_address[1], self.path, self.headers, body)
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        for port in (REMOTE, PROMETHEUS, LOKI):
            if port == REMOTE and certificates:
                server = self.remote = MutualServer(("127.0.0.1", port), Handler, *certificates)
            else:
                server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def see(self, client):
        """Clients by their certificates, in the order they came."""
        with self.lock:
            if not self.clients or self.clients[-1] != client:
                self.clients.append(client)

    def take(self, port, path, headers, body):
        with self.lock:
            if path.startswith("/token/"):
                self.credentials.append(headers.get("authorization"))
                return json.dumps({
                    "access_token": path.rsplit("/", 1)[1], "token_type": "Bearer", "expires_in": 3600}).encode()
            if port == REMOTE:
                self.tokens[headers.get("authorization")] += 1
            where = f"{port}{path}"
            if path.endswith("/push"):
                self.pushes += wire.loki_push(body)
            elif path.endswith("/logs"):
                self.logs[where] += list(log_records(body))
            else:
                self.metrics[where] += list(data_points(body))
            return b""

    def jobs(self, where):
        with self.lock:
            return {job for job, *_ in self.metrics[where]}

    def lines(self, where):
        with self.lock:
            return {line for _, line, *_ in self.logs[where]}


def texts(attributes):
    return {attribute.key: attribute.value.string_value for attribute in attributes}


def log_records(body):
    for group in ExportLogsServiceRequest.FromString(body).resource_logs:
        resource = texts(group.resource.attributes)
        for scope in group.scope_logs:
            for record in scope.log_records:
                yield resource, record.body.string_value, record.severity_text, texts(record.attributes)


def data_points(body):
    for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        job = texts(group.resource.attributes).get("service.name", "")
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                for point in (*metric.gauge.data_points, *metric.sum.data_points):
                    yield job, metric.name, texts(point.attributes).get("cluster", "")


def raise_loopback():
    """`ip link set lo up`, for which no program need be there."""
    up = 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", up))


def wait_until(condition, seconds=150):
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.1)
    return True


def prepare(directory):
    """What a pod finds around it: names, its service account, the host's root."""
    raise_loopback()
    with open(f"{directory}/hosts", "w") as file:
        file.write("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *NAMES)))
    subprocess.run(["mount", "--bind", f"{directory}/hosts", "/etc/hosts"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/var/run"], check=True)
    os.makedirs(ACCOUNT)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{directory}/key.pem", "-out",
         f"{ACCOUNT}/ca.crt", "-days", "2", "-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, stderr=subprocess.DEVNULL)
    for name, text in (("token", "sesame"), ("namespace", "monitoring")):
        with open(f"{ACCOUNT}/{name}", "w") as file:
            file.write(text)


def secret(generation):
    return kubernetes.secret("monitoring", "alloy-secret", {
        "azure_app_client_id": "client", "azure_app_client_secret": f"secret-{generation}",
        "azure_token_url": f"http://127.0.0.1:{REMOTE}/token/{generation}", "unknown": "key"})


class Identities:
    """Two authorities, each with a certificate of the remote server and one for the collector."""

    def __init__(self, directory):
        self.of = {}
        for generation in ("first", "second"):
            authority = Authority(directory, f"authority-{generation}")
            server = authority.sign(f"server-{generation}", "127.0.0.1")
            client = authority.sign(f"collector-{generation}")
            self.of[generation] = (authority, server, client)

    def server(self, generation):
        authority, server, _ = self.of[generation]
        return authority.certificate, *server

    def secret(self, generation):
        authority, _, client = self.of[generation]
        texts = {}
        for key, path in zip(("ca.crt", "tls.crt", "tls.key"), (authority.certificate, *client)):
            with open(path) as file:
                texts[key] = file.read()
        return kubernetes.secret("monitoring", "alloy-secret", texts)


def is_refused_without_certificate(directory, world):
    """A client that knows the server but has no certificate of its own gets no answer, and the server says why."""
    context = ssl.create_default_context(cafile=f"{directory}/authority-first.crt")
    try:
        with socket.create_connection(("127.0.0.1", REMOTE), timeout=30) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                connection.sendall(b"POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
                if connection.recv(1):
                    return False
    except OSError:
        pass
    return "did not return a certificate" in world.remote.refused.get(timeout=30)


def deployment(environment):
    """What is rendered for an environment of the cluster."""
    if environment == "mtls":
        return Deployment(sets=(
            "scrape.https=false", f"remote.endpoint=https://127.0.0.1:{REMOTE}", "remote.secret=alloy-secret",
            "remote.auth_type=mtls", "remote.label=cluster-1", "local.endpoint=", "local.logsEndpoint="))
    return Deployment(environment, {
        "CLUSTER_LABEL": "cluster-1", "REMOTE_AUTH_SECRET": "alloy-secret", "REMOTE_AUTH_SCOPE": "scope",
        "LOKI_ENDPOINT_PANOPTES": f"http://127.0.0.1:{REMOTE}/l",
        "MIMIR_ENDPOINT_PANOPTES": f"http://127.0.0.1:{REMOTE}/m",
    })


def rotate_certificates(api, world, identities, report):
    """The server changes its authority first, so that nothing gets through until the collector changes as well."""
    world.remote.trust(*identities.server("second"))
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    for number in range(LINES):
        api.log("ais", "target-0", "ais-node", f"{now}.{500 + number:09d}Z", f"I late {number}")
    report["shut_out"] = wait_until(lambda: not world.remote.refused.empty())
    api.delete("secrets", "monitoring", "alloy-secret")
    api.put("secrets", identities.secret("second"))
    report["rotated"] = wait_until(lambda: len(world.lines(f"{REMOTE}/v1/logs")) >= 3 * LINES)


def fill(api, port, credentials):
    """Pods of this node and of another, and lines of theirs."""
    def put(namespace, name, labels, containers, node=NODE):
        api.put("pods", kubernetes.pod(namespace, name, node, "127.0.0.1", labels, containers))

    ais = {"app": "ais", "component": "target"}
    put("ais", "target-0", ais, (("ais-node", (("metrics", port),)),))
    put("ais", "target-1", ais, (("ais-node", (("metrics", 1),)),), node="node-b")
    put("monitoring", "ksm-0", {"app.kubernetes.io/name": "kube-state-metrics"}, (("ksm", (("http", port),)),))
    put("kube-system", "coredns-0", {"app": "coredns"}, (("coredns", ()),))
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    for number in range(LINES):
        api.log("ais", "target-0", "ais-node", f"{now}.{number:09d}Z", f"I line {number}")
        api.log("kube-system", "coredns-0", "coredns", f"{now}.{number:09d}Z", f"dns {number}")
        api.log("kube-system", "coredns-0", "coredns", f"{now}.{number:09d}Z",
                "[WARNING] No files matching import glob pattern: /etc/x")
    api.put("secrets", credentials)


def main(environment, program, directory):
    prepare(directory)
    identities = Identities(directory) if environment == "mtls" else None
    world = World(identities and identities.server("first"))
    with Targets({"metrics": counting(3)}) as targets, kubernetes.Api("sesame") as api:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{ACCOUNT}/ca.crt", f"{directory}/key.pem")
        api.server.socket = context.wrap_socket(api.server.socket, server_side=True)
        fill(api, targets.port, identities.secret("first") if identities else secret("first"))
        configuration = f"{directory}/config.alloy"
        with open(configuration, "w") as file:
            file.write(deployment(environment).configuration())
        with open(f"{directory}/log", "w") as log:
            collector = subprocess.Popen(
                [program, "run", configuration, f"--storage.path={directory}/data",
                 "--server.http.listen-addr=127.0.0.1:12345", "--stability.level=experimental"],
                env={**os.environ, "HOSTNAME": NODE, "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                     "KUBERNETES_SERVICE_PORT": str(api.port)},
                stderr=log)
        local, remote = f"{PROMETHEUS}/api/v1/otlp/v1/metrics", f"{REMOTE}/m/v1/metrics"
        wanted = [where for where, names in ((local, ("local", "prod")), (remote, ("remote", "prod")),
                                             (f"{REMOTE}/v1/metrics", ("mtls",)))
                  if environment in names]
        report = {"metrics": all(wait_until(lambda where=where: JOBS <= world.jobs(where)) for where in wanted)}
        if environment == "local":
            report["logs"] = wait_until(lambda: len(world.pushes) >= 2 * LINES)
        else:
            where = f"{REMOTE}/v1/logs" if identities else f"{REMOTE}/l/v1/logs"
            report["logs"] = wait_until(lambda: len(world.lines(where)) >= 2 * LINES)
        if environment == "remote":
            # The Secret is away for a moment, as `kubectl delete` and `create` leave it.
            api.delete("secrets", "monitoring", "alloy-secret")
            api.put("secrets", secret("second"))
            report["rotated"] = wait_until(lambda: world.tokens["Bearer second"] > 0)
        if identities:
            report["accepted"] = world.remote.refused.empty()
            report["refused"] = is_refused_without_certificate(directory, world)
            rotate_certificates(api, world, identities, report)
        report["running"] = collector.poll() is None
        collector.send_signal(signal.SIGTERM)
        report["status"] = collector.wait(60)
    with open(f"{directory}/log") as log:
        report["log"] = log.read()[-2000:]
    report["points"] = {
        where: {"jobs": sorted({job for job, *_ in points}), "names": sorted({name for _, name, _ in points}),
                "clusters": sorted({cluster for *_, cluster in points})}
        for where, points in world.metrics.items()}
    report["records"] = dict(world.logs)
    report["pushes"] = world.pushes
    report["tokens"] = dict(world.tokens)
    report["credentials"] = world.credentials
    report["clients"] = world.clients
    print(json.dumps(report, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
