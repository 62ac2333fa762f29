"""Telemetry written to files and as syslog, and requests signed for AWS."""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import threading
from urllib.parse import parse_qsl, quote, urlsplit

from cases_otel import PYTHON
from harness import Invar, Skip, check, free_port, request, wait_until
from kafka_login import TokenBroker
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


class Kafka:
    """The brokers of kafka_peer.py."""

    def __init__(self, directory):
        probe = subprocess.run([PYTHON, "-c", "import confluent_kafka"], capture_output=True) if os.path.exists(
            PYTHON) else None
        if probe is None or probe.returncode != 0:
            raise Skip("the Kafka client is missing: Scripts/install-dependencies.sh test")
        self.log = open(f"{directory}/kafka.log", "w")
        self.process = subprocess.Popen(
            [PYTHON, os.path.join(os.path.dirname(os.path.abspath(__file__)), "kafka_peer.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.brokers = json.loads(self.process.stdout.readline())

    def read(self, topic, count):
        self.process.stdin.write(json.dumps({"topic": topic, "count": count}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.log.close()


def fnv_partition(key, count):
    """The partition Sarama's client gives a key: FNV-1a as a signed number, without its sign."""
    digest = 0x811C9DC5
    for byte in key.encode():
        digest = (digest ^ byte) * 0x01000193 & 0xFFFFFFFF
    return abs(digest - (1 << 32) if digest >> 31 else digest) % count


def case_records_of_kafka(directory):
    """Logs by trace with keys, partitions and headers as Kafka's other clients have them; nothing lost while brokers stand still."""
    port = free_port()
    with Kafka(directory) as kafka:
        configuration = f"""
            otelcol.receiver.otlp "in" {{
                http {{
                    endpoint         = "127.0.0.1:{port}"
                    include_metadata = true
                }}
                output {{ logs = [otelcol.exporter.kafka.k.input] }}
            }}
            otelcol.exporter.kafka "k" {{
                protocol_version           = "2.1.0"
                brokers                    = {json.dumps(kafka.brokers)}
                include_metadata_keys      = ["x-tenant"]
                topic_from_attribute       = "topic"
                partition_logs_by_trace_id = true
                timeout                    = "1s"
                logs {{ encoding = "otlp_json" }}
                producer {{
                    compression   = "zstd"
                    required_acks = -1
                }}
                retry_on_failure {{
                    initial_interval = "200ms"
                    max_interval     = "1s"
                }}
            }}"""
        sent = set()

        def send(topic=None):
            number = len(sent)
            records = [{"body": {"stringValue": f"{number + each}"}, "traceId": f"{each % 5 + 1:032x}"} for each in range(20)]
            sent.update(record["body"]["stringValue"] for record in records)
            resource = {"attributes": [attribute("topic", topic)]} if topic else {}
            body = json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]})
            status, answer = request(
                port, "/v1/logs", "POST", body, {"Content-Type": "application/json", "X-Tenant": "shop"})
            check(status == 200, f"{status}: {answer}")

        with Invar(directory, configuration) as invar:
            wait_until(lambda: invar.is_ready() and is_open(port), 30, "invar to be ready")
            for _ in range(5):
                send()
            records = kafka.read("otlp_logs", 25)
            bodies = set()
            for record in records:
                check(record["headers"] == [["x-tenant", "shop"]], f"{record['headers']}")
                check(record["partition"] == fnv_partition(record["key"], 4), f"{record['key']} in {record['partition']}")
                for each in json.loads(base64.b64decode(record["value"]))["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
                    check(each["traceId"] == record["key"], f"{each['traceId']} under {record['key']}")
                    bodies.add(each["body"]["stringValue"])
            check(bodies == sent and len(records) == 25, f"{len(bodies)} of {len(sent)} in {len(records)} records")
            send("elsewhere")
            check(len(kafka.read("elsewhere", 5)) == 5, "the topic of the attribute has not all records")
            before = len(sent)
            kafka.process.send_signal(signal.SIGSTOP)
            for _ in range(5):
                send()
            wait_until(lambda: "Exporting failed" in invar.log_text(), 30, "an attempt to fail")
            kafka.process.send_signal(signal.SIGCONT)
            wait_until(lambda: invar.ledger()["otelcol.exporter.kafka.k"]["out"] == len(sent), 60, "all records to be taken")
            arrived = set()
            for record in kafka.read("otlp_logs", 50):
                for each in json.loads(base64.b64decode(record["value"]))["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
                    arrived.add(each["body"]["stringValue"])
            check(len(sent) - before == 100 and {each for each in sent if not 100 <= int(each) < 120} <= arrived,
                  f"missing {sorted(sent - arrived)[:5]}")
            check(invar.stop() == 0, "does not stop")


def msk_signature(region, secret, query):
    """The signature of a query of AWS Signature Version 4 (AWS General Reference), from what the query says."""
    items = sorted((name, value) for name, value in query if name not in ("X-Amz-Signature", "User-Agent"))
    canonical = "\n".join([
        "GET", "/", "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in items),
        f"host:kafka.{region}.amazonaws.com", "", "host", hashlib.sha256(b"").hexdigest()])
    stamp = dict(query)["X-Amz-Date"]
    scope = f"{stamp[:8]}/{region}/kafka-cluster/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def case_login_at_msk(directory):
    """Amazon MSK is shown a token that is a URL signed with the credentials of the environment."""
    with TokenBroker() as broker:
        configuration = f"""
            otelcol.exporter.kafka "k" {{
                protocol_version = "2.1.0"
                brokers          = ["{broker.address}"]
                authentication {{
                    sasl {{
                        username  = "invar"
                        password  = "unused"
                        mechanism = "AWS_MSK_IAM_OAUTHBEARER"
                        aws_msk {{ region = "eu-central-1" }}
                    }}
                }}
            }}"""
        environment = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush/hush", "AWS_SESSION_TOKEN": "to+k/e=n"}
        with Invar(directory, configuration, environment=environment) as invar:
            wait_until(lambda: broker.messages, 30, "a token to be shown")
            found = re.fullmatch(rb"n,,\x01auth=Bearer ([A-Za-z0-9_-]+)\x01\x01", broker.messages[0])
            check(found and broker.mechanisms[0] == "OAUTHBEARER", f"{broker.mechanisms} {broker.messages}")
            token = found.group(1).decode()
            url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
            query = parse_qsl(url.query, keep_blank_values=True, strict_parsing=True)
            check((url.scheme, url.netloc, url.path) == ("https", "kafka.eu-central-1.amazonaws.com", "/"), f"{url}")
            said = dict(query)
            check(said["Action"] == "kafka-cluster:Connect" and said["X-Amz-Expires"] == "900", f"{said}")
            check(said["X-Amz-Security-Token"] == "to+k/e=n" and said["User-Agent"] == "invar", f"{said}")
            check(said["X-Amz-Credential"].startswith("AKIDEXAMPLE/"), f"{said}")
            check(said["X-Amz-Signature"] == msk_signature("eu-central-1", "hush/hush", query), f"{said}")
            log = invar.log_text()
            check(token not in log and "hush" not in log and "to+k" not in log, "a secret is in the log")
            check(invar.stop() == 0, "does not stop")


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False
