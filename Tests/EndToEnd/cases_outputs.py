"""Telemetry written to files and as syslog, and requests signed for AWS."""

import json
import os
import re
import socket
import threading

from harness import Invar, check, free_port, request, wait_until
from sinks import OTLPSink

EXPERIMENTAL = ["--stability.level=experimental"]


def receiver(port, signal, consumer):
    return f"""
        otelcol.receiver.otlp "in" {{
            http {{ endpoint = "127.0.0.1:{port}" }}
            output {{ {signal} = [{consumer}] }}
        }}
        """


def send_logs(port, records):
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
    status, answer = request(port, "/v1/logs", "POST", body, {"Content-Type": "application/json"})
    check(status == 200, f"{status}: {answer}")


def attribute(key, value):
    return {"key": key, "value": {"stringValue": value}}


class LineServer:
    """Takes lines over TCP; `drop` closes every connection."""

    def __init__(self, port=0):
        self.lines = []
        self.connections = []
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        try:
            with connection.makefile("rb") as file:
                for line in file:
                    self.lines.append(line.decode())
        except OSError:
            pass

    def close(self):
        self.socket.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def case_logs_to_a_file(directory):
    """Every record is in the file or in those rotated away, a request a line."""
    port = free_port()
    path = f"{directory}/out/logs.json"
    configuration = receiver(port, "logs", "otelcol.exporter.file.f.input") + f"""
        otelcol.exporter.file "f" {{
            path = "{path}"
            rotation {{ max_megabytes = 1 }}
        }}"""
    with Invar(directory, configuration, EXPERIMENTAL) as invar:
        wait_until(invar.is_ready, 30, "invar to be ready")
        for number in range(60):
            send_logs(port, [{"body": {"stringValue": f"{number} " + "x" * 50_000}}])
        check(invar.stop() == 0, "does not stop")
    files = sorted(os.listdir(f"{directory}/out"))
    check(len(files) >= 3 and "logs.json" in files, f"{files}")
    numbers = set()
    for name in files:
        for line in open(f"{directory}/out/{name}"):
            for record in json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
                numbers.add(int(record["body"]["stringValue"].split()[0]))
    check(numbers == set(range(60)), f"{len(numbers)} of 60 records")


def case_logs_to_syslog(directory):
    """Messages arrive over TCP, also after the server has gone and come back, and over UDP."""
    port = free_port()
    server = LineServer()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    datagrams.settimeout(20)
    configuration = receiver(
        port, "logs", "otelcol.exporter.syslog.tcp.input, otelcol.exporter.syslog.udp.input") + f"""
        otelcol.exporter.syslog "tcp" {{
            endpoint = "127.0.0.1"
            port     = {server.port}
            tls {{ insecure = true }}
            retry_on_failure {{ initial_interval = "200ms" }}
        }}
        otelcol.exporter.syslog "udp" {{
            endpoint = "127.0.0.1"
            port     = {datagrams.getsockname()[1]}
            network  = "udp"
            protocol = "rfc3164"
        }}"""
    with Invar(directory, configuration, EXPERIMENTAL) as invar:
        wait_until(invar.is_ready, 30, "invar to be ready")
        send_logs(port, [{"timeUnixNano": "1700000000000000000", "attributes": [
            attribute("message", "first"), attribute("appname", "shop"), attribute("hostname", "h")]}])
        wait_until(lambda: server.lines, 30, "the message")
        check(server.lines == ["<165>1 2023-11-14T22:13:20Z h shop - - - first\n"], f"{server.lines}")
        check(datagrams.recv(1000) == b"<165>Nov 14 22:13:20 h shop: first\n", "another datagram")
        server.close()
        wait_until(lambda: not port_is_open(server.port), 20, "the server to be gone")
        for number in range(20):
            send_logs(port, [{"attributes": [attribute("message", f"later {number}")]}])
        again = LineServer(server.port)
        send_logs(port, [{"attributes": [attribute("message", "last")]}])
        wait_until(lambda: any("last" in line for line in again.lines), 60, "the message after the server came back")
        check(invar.stop() == 0, "does not stop")
        again.close()
    datagrams.close()


def port_is_open(port):
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def case_signed_requests(directory):
    """OTLP/HTTP with AWS Signature Version 4: the header names key, region, service and what is signed."""
    port = free_port()
    with OTLPSink() as sink:
        configuration = receiver(port, "logs", "otelcol.exporter.otlphttp.out.input") + f"""
            otelcol.auth.sigv4 "aws" {{
                region  = "eu-central-1"
                service = "logs"
            }}
            otelcol.exporter.otlphttp "out" {{
                encoding = "json"
                client {{
                    endpoint    = "{sink.url}"
                    compression = "none"
                    auth        = otelcol.auth.sigv4.aws.handler
                }}
            }}"""
        environment = dict(os.environ, AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="very secret key")
        with Invar(directory, configuration, environment=environment) as invar:
            wait_until(invar.is_ready, 30, "invar to be ready")
            send_logs(port, [{"body": {"stringValue": "x"}}])
            wait_until(lambda: sink.items(), 30, "the record")
            check("very secret key" not in invar.log_text(), "the secret is in the log")
            check(invar.stop() == 0, "does not stop")
        signature = next(iter(sink.authorizations))
        pattern = r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-central-1/logs/aws4_request, ?" \
                  r"SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, ?Signature=[0-9a-f]{64}"
        check(re.fullmatch(pattern, signature or ""), f"{signature}")
