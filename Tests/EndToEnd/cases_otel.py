"""OpenTelemetry data from the Python SDK through the program to a sink, over gRPC and HTTP."""

import http.server
import json
import os
import subprocess
import threading

from harness import ROOT, Invar, Skip, check, free_port, request, wait_until
from sinks import LokiSink, OTLPSink

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


class MetadataService:
    """The metadata services of EC2 and Google, the EC2 API and a Docker daemon, all at one address on loopback."""

    ANSWERS = {
        "/latest/api/token": "ticket",
        "/latest/meta-data/instance-id": "i-1",
        "/latest/meta-data/hostname": "ip-10-0-0-1",
        "/latest/dynamic/instance-identity/document": json.dumps(
            {"region": "eu-west-1", "accountId": "42", "instanceId": "i-1", "instanceType": "m7g.large"}),
        "/latest/meta-data/iam/security-credentials/": "collector",
        "/latest/meta-data/iam/security-credentials/collector": json.dumps(
            {"AccessKeyId": "AKROLE", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}),
        "/": "<DescribeTagsResponse><tagSet><item><key>team</key><value>ops</value></item></tagSet></DescribeTagsResponse>",
        "/computeMetadata/v1/project/project-id": "shop",
        "/computeMetadata/v1/instance/id": "77",
        "/computeMetadata/v1/instance/zone": "projects/9/zones/europe-west1-b",
        "/computeMetadata/v1/instance/machine-type": "projects/9/machineTypes/e2-small",
        "/info": json.dumps({"Name": "docker-host", "OSType": "linux"}),
    }

    def __init__(self):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen.append((self.path, self.headers.get("Authorization", "")))
                text = MetadataService.ANSWERS.get(self.path)
                body = (text or "").encode()
                self.send_response(404 if text is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def case_resources_of_the_place_it_runs_in(directory):
    """What metadata services say is on every record, the first detector's word counts, and tags come by a signed request."""
    port = free_port()
    with MetadataService() as service, OTLPSink() as sink:
        environment = {
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,host.name=named%20here",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{service.address}",
            "AWS_ENDPOINT_URL_EC2": f"http://{service.address}/",
            "GCE_METADATA_HOST": service.address,
            "DOCKER_HOST": f"tcp://{service.address}",
        }
        configuration = f"""
            otelcol.receiver.otlp "in" {{
                http {{ endpoint = "127.0.0.1:{port}" }}
                output {{ logs = [otelcol.processor.resourcedetection.place.input] }}
            }}
            otelcol.processor.resourcedetection "place" {{
                detectors = ["env", "ec2", "gcp", "docker", "system"]
                ec2 {{
                    tags = ["^team$"]
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
        with Invar(directory, configuration, environment=environment) as invar:
            body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]})

            def is_taken():
                try:
                    return request(port, "/v1/logs", "POST", body, {"Content-Type": "application/json"})[0] == 200
                except OSError:
                    return False

            wait_until(is_taken, 30, "the resource to be detected")
            wait_until(lambda: sink.items(), 30, "the record")
            resource = sink.items()[0][0]
        expected = {
            "deployment.environment": "test", "host.name": "named here", "cloud.provider": "aws",
            "cloud.platform": "aws_ec2", "cloud.region": "eu-west-1", "cloud.account.id": "42", "host.id": "i-1",
            "host.type": "m7g.large", "ec2.tag.team": "ops", "cloud.availability_zone": "europe-west1-b",
            "os.type": "linux",
        }
        check(resource == expected, f"{resource}")
        signed = [authorization for path, authorization in service.seen if path == "/"]
        check(len(signed) == 1 and "Credential=AKROLE/" in signed[0] and "/eu-west-1/ec2/" in signed[0], f"{signed}")
