"""OpenTelemetry data from the Python SDK through the program to a sink, over gRPC and HTTP."""

import json
import os
import subprocess

from harness import ROOT, Invar, Skip, check, free_port, request, wait_until
from sinks import LokiSink

PYTHON = os.environ.get("INVAR_PYTHON", os.path.join(ROOT, ".venv", "bin", "python"))
PREVIEW = ["--stability.level=public-preview"]


class Peer:
    """The SDK in a process of its own, because it lives in the virtual environment."""

    def __init__(self, directory):
        probe = subprocess.run(
            [PYTHON, "-c", "import opentelemetry.exporter.otlp.proto.grpc, opentelemetry.exporter.otlp.proto.http"],
            capture_output=True) if os.path.exists(PYTHON) else None
        if probe is None or probe.returncode != 0:
            raise Skip("the OpenTelemetry SDK is missing: Scripts/install-dependencies.sh test")
        self.log = open(f"{directory}/peer.log", "w")
        self.process = subprocess.Popen(
            [PYTHON, os.path.join(os.path.dirname(os.path.abspath(__file__)), "otel_peer.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.ports = json.loads(self.process.stdout.readline())

    def send(self, protocol, endpoint, sink):
        """What is missing or too much at `sink` after the SDK has sent to `endpoint`."""
        self.process.stdin.write(f"{protocol} {endpoint} {sink}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline() or '["the peer has died"]')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.log.close()


def pipeline(grpc, http, exporter, middle=""):
    consumer = "[otelcol.processor.batch.b.input]"
    return f"""
        otelcol.receiver.otlp "in" {{
            grpc {{ endpoint = "127.0.0.1:{grpc}" }}
            http {{ endpoint = "127.0.0.1:{http}" }}
            output {{
                traces  = {consumer}
                metrics = {consumer}
                logs    = {consumer}
            }}
        }}
        otelcol.processor.batch "b" {{
            timeout = "100ms"
            output {{
                traces  = [otelcol.exporter.{exporter}.input]
                metrics = [otelcol.exporter.{exporter}.input]
                logs    = [otelcol.exporter.{exporter}.input]
            }}
        }}
        {middle}
        """


def run(directory, sink):
    with Peer(directory) as peer:
        grpc, http = free_port(), free_port()
        if sink == "http":
            exporter = "otlphttp.out"
            block = f"""
                otelcol.exporter.otlphttp "out" {{
                    client {{ endpoint = "http://127.0.0.1:{peer.ports['http']}" }}
                }}"""
        else:
            exporter = "otlp.out"
            block = f"""
                otelcol.exporter.otlp "out" {{
                    client {{
                        endpoint = "127.0.0.1:{peer.ports['grpc']}"
                        tls {{ insecure = true }}
                    }}
                }}"""
        with Invar(directory, pipeline(grpc, http, exporter, block)) as invar:
            for protocol, port in (("grpc", grpc), ("http", http)):
                problems = peer.send(protocol, f"127.0.0.1:{port}", sink)
                check(not problems, f"{protocol} to {sink}: {problems}")
            spans = invar.metric("otelcol_exporter_sent_spans_total")
            check(spans == 1200, f"{spans} spans sent by the program's own count")
            refused = invar.metric("otelcol_receiver_refused_spans_total") or 0
            check(refused == 0, f"{refused} spans refused")


def case_otlp_to_http(directory):
    run(directory, "http")


def case_otlp_to_grpc(directory):
    run(directory, "grpc")


def case_otlp_queue_survives_kill(directory):
    """What was acknowledged into a queue on disk is sent after kill -9."""
    with Peer(directory) as peer:
        grpc, http, sink = free_port(), free_port(), free_port()
        def configuration(port):
            return f"""
                otelcol.storage.file "s" {{ directory = "{directory}/queue" }}
                otelcol.receiver.otlp "in" {{
                    http {{ endpoint = "127.0.0.1:{http}" }}
                    output {{
                        traces  = [otelcol.exporter.otlphttp.out.input]
                        metrics = [otelcol.exporter.otlphttp.out.input]
                        logs    = [otelcol.exporter.otlphttp.out.input]
                    }}
                }}
                otelcol.exporter.otlphttp "out" {{
                    client {{ endpoint = "http://127.0.0.1:{port}" }}
                    sending_queue {{ storage = otelcol.storage.file.s.handler }}
                    retry_on_failure {{
                        initial_interval = "200ms"
                        max_interval     = "1s"
                    }}
                }}"""
        # Nobody listens at first: everything stays in the queue.
        with Invar(directory, configuration(sink), PREVIEW) as invar:
            wait_until(invar.is_ready, 30, "invar to be ready")
            peer.process.stdin.write(f"http 127.0.0.1:{http} http\n")
            peer.process.stdin.flush()
            wait_until(lambda: (invar.metric("otelcol_receiver_accepted_metric_points_total") or 0) > 0, 60,
                       "everything to be acknowledged")
            invar.kill()
        with Invar(directory, configuration(peer.ports["http"]), PREVIEW):
            problems = json.loads(peer.process.stdout.readline() or '["the peer has died"]')
            check(not problems, f"after the kill: {problems}")


def case_otlp_logs_to_loki(directory):
    """Log records of OTLP arrive at a Loki as entries with the labels their hints name."""
    port = free_port()
    record = {
        "timeUnixNano": "1700000000000000001", "severityNumber": 17, "body": {"stringValue": "out of stock"},
        "attributes": [{"key": "loki.attribute.labels", "value": {"stringValue": "shop.zone"}},
                       {"key": "shop.zone", "value": {"stringValue": "eu"}},
                       {"key": "item", "value": {"intValue": "7"}}],
    }
    export = {"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeLogs": [{"logRecords": [record]}]}]}
    with LokiSink() as sink:
        configuration = f"""
otelcol.receiver.otlp "in" {{
  http {{
    endpoint = "127.0.0.1:{port}"
  }}
  output {{
    logs = [otelcol.exporter.loki.out.input]
  }}
}}
otelcol.exporter.loki "out" {{
  forward_to = [loki.write.out.receiver]
}}
loki.write "out" {{
  endpoint {{
    url = "{sink.url}"
  }}
}}
"""
        with Invar(directory, configuration) as invar:
            status, _ = request(
                port, "/v1/logs", "POST", json.dumps(export), {"Content-Type": "application/json"})
            check(status == 200, f"the export is answered with {status}")
            wait_until(lambda: sink.items(), 30, "the entry at the receiver")
            check(invar.stop() == 0, "does not stop")
        labels, time, line = sink.items()[0]
        check(labels == '{exporter="OTLP", job="shop", level="ERROR", shop_zone="eu"}', labels)
        check(time == 1700000000000000001, time)
        check(line == '{"body":"out of stock","attributes":{"item":7},"resources":{"service.name":"shop"}}', line)
