"""Clients of others' protocols through the program to an OTLP receiver: Zipkin, Jaeger, Fluentd, InfluxDB."""

import json
import os
import socket
import subprocess

from cases_otel import PYTHON
from harness import Invar, Skip, check, free_port, request, wait_until
from sinks import OTLPSink, attributes, value


def pipeline(sink, receiver, settings, signals=("traces", "logs", "metrics")):
    output = "\n".join(f"{signal} = [otelcol.exporter.otlphttp.out.input]" for signal in signals)
    return f"""
        otelcol.receiver.{receiver} "in" {{
            {settings}
            output {{
                {output}
            }}
        }}
        otelcol.exporter.otlphttp "out" {{
            encoding = "json"
            client {{
                endpoint    = "{sink.url}"
                compression = "none"
            }}
        }}
        """


def send(protocol, port):
    """What the protocol's own client says it has sent."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "protocol_peer.py")
    if not os.path.exists(PYTHON):
        raise Skip("the client libraries are missing: Scripts/install-dependencies.sh test")
    done = subprocess.run([PYTHON, script, protocol, str(port)], capture_output=True, text=True, timeout=120)
    if "ModuleNotFoundError" in done.stderr:
        raise Skip("the client libraries are missing: Scripts/install-dependencies.sh test")
    check(done.returncode == 0, f"the client failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def check_spans(sink, sent, has_details=True):
    wait_until(lambda: len(sink.items()) >= len(sent), 30, "the spans at the receiver")
    spans = {span["name"]: (resource, span) for resource, _, span in sink.items()}
    check(len(sink.items()) == len(sent) == len(spans), f"{sink.items()}")
    for expected in sent:
        resource, span = spans[expected["name"]]
        got = {"name": span["name"], "kind": span.get("kind", 0), "trace": span["traceId"], "span": span["spanId"],
               "parent": span.get("parentSpanId", "")}
        check(got == expected, f"sent {expected}, arrived {got}")
        check(resource["service.name"] == "shop", f"{resource}")
    if not has_details:
        return
    buy, pay = spans["buy"][1], spans["pay"][1]
    tags = attributes(buy["attributes"])
    check(tags["item"] == "book" and str(tags["n"]) == "3", f"{tags}")
    check(pay["status"]["code"] == 2, f"{pay.get('status')}")
    check([event["name"] for event in pay["events"]][-1].startswith("charged") or
          "charged" in pay["events"][0]["name"], f"{pay['events']}")
    check(int(pay["endTimeUnixNano"]) >= int(pay["startTimeUnixNano"]) > 1_600_000_000 * 10**9, f"{pay}")


def case_zipkin_client(directory):
    """The OpenTelemetry SDK's Zipkin exporter, then hostile bodies."""
    port = free_port()
    with OTLPSink() as sink:
        with Invar(directory, pipeline(sink, "zipkin", f'endpoint = "127.0.0.1:{port}"')) as invar:
            sent = send("zipkin", port)
            check_spans(sink, sent)
            for body in (b"[", b"{}", b'[{"traceId":"x","id":"1"}]', b"[[[[[[", b"\0" * 100):
                status = request(port, "/api/v2/spans", "POST", body, {"Content-Type": "application/json"})[0]
                check(status == 400, f"{body} is answered with {status}")
            check(request(port, "/api/v2/spans", "POST", b"\x0a\xff", {"Content-Type": "application/x-protobuf"})[0] == 400,
                  "broken protobuf is taken")
            check(invar.metric("otelcol_receiver_accepted_spans_total") == 2, "counts other spans")
            check(invar.stop() == 0, "does not stop")


def case_jaeger_clients(directory):
    """The Jaeger client's datagrams, and a call of the collector's gRPC service; hostile datagrams are counted."""
    compact, binary, calls = free_port(), free_port(), free_port()
    settings = f"""
        protocols {{
            grpc           {{ endpoint = "127.0.0.1:{calls}" }}
            thrift_compact {{ endpoint = "127.0.0.1:{compact}" }}
            thrift_binary  {{ endpoint = "127.0.0.1:{binary}" }}
        }}"""
    with OTLPSink() as sink:
        with Invar(directory, pipeline(sink, "jaeger", settings)) as invar:
            check_spans(sink, send("jaeger", compact))
            before = len(sink.items())
            sent = send("jaeger-grpc", calls)
            wait_until(lambda: len(sink.items()) >= before + 2, 30, "the spans of the call")
            got = [(span["name"], span["traceId"], span.get("parentSpanId", "")) for _, _, span in sink.items()[before:]]
            check(got == [(each["name"], each["trace"], each["parent"]) for each in sent], f"{got}")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                for body in (b"\x82", b"\x82\x81\x01\x09emitBatch\x1c\xff", b"\x80\x01\x00\x01" + b"\xff" * 20):
                    client.sendto(body, ("127.0.0.1", compact))
                    client.sendto(body, ("127.0.0.1", binary))
            wait_until(lambda: invar.ledger()["otelcol.receiver.jaeger.in"]["dropped"] != [] and
                       sum(each["items"] for each in invar.ledger()["otelcol.receiver.jaeger.in"]["dropped"]) == 6,
                       30, "the broken datagrams to be counted")
            check(invar.stop() == 0, "does not stop")


def strategies(all_share, none_share):
    return json.dumps({"default_strategy": {"type": "probabilistic", "param": 0.5}, "service_strategies": [
        {"service": "all", "type": "probabilistic", "param": all_share},
        {"service": "none", "type": "probabilistic", "param": none_share},
        {"service": "limited", "type": "ratelimiting", "param": 200},
        {"service": "shop", "type": "probabilistic", "param": 0,
         "operation_strategies": [{"operation": "pay", "type": "probabilistic", "param": 1}]}]})


def case_jaeger_remote_sampling(directory):
    """The Jaeger client samples as the file says, asked through two servers, and anew when the file has changed."""
    direct, calls, chained = free_port(), free_port(), free_port()
    file = f"{directory}/strategies.json"

    def write(text):
        with open(file + ".new", "w") as output:
            output.write(text)
        os.replace(file + ".new", file)

    write(strategies(1, 0))
    configuration = f"""
        otelcol.extension.jaeger_remote_sampling "file" {{
            http {{ endpoint = "127.0.0.1:{direct}" }}
            grpc {{ endpoint = "127.0.0.1:{calls}" }}
            source {{
                file            = "{file}"
                reload_interval = "100ms"
            }}
        }}
        otelcol.extension.jaeger_remote_sampling "remote" {{
            http {{ endpoint = "127.0.0.1:{chained}" }}
            source {{
                remote {{
                    endpoint = "127.0.0.1:{calls}"
                    tls {{ insecure = true }}
                }}
            }}
        }}
        """
    with Invar(directory, configuration) as invar:
        wait_until(lambda: answers(direct, "all") and answers(chained, "all"), 30, "the servers to answer")
        counts = send("jaeger-sampling", chained)
        check(counts["all"] == {"pay": 1000, "list": 1000}, f"{counts}")
        check(counts["none"] == {"pay": 0, "list": 0}, f"{counts}")
        check(all(350 < count < 650 for count in counts["half"].values()), f"{counts}")
        # The client begins with any part of the 200 a second.
        check(1 <= sum(counts["limited"].values()) < 1000, f"{counts}")
        check(counts["shop"] == {"pay": 1000, "list": 0}, f"{counts}")
        # strategyType RATE_LIMITING, 200 traces a second
        check(send("jaeger-sampling-grpc", calls) == "08011a0308c801", "another strategy over gRPC")
        write(strategies(0, 1))
        wait_until(lambda: answers(chained, "all")["probabilisticSampling"]["samplingRate"] == 0, 30, "the new strategy")
        counts = send("jaeger-sampling", direct)
        check(counts["all"] == {"pay": 0, "list": 0} and counts["none"] == {"pay": 1000, "list": 1000}, f"{counts}")
        check(invar.stop() == 0, "does not stop")


def answers(port, service):
    """The strategy of a service, or nothing while there is no server."""
    try:
        status, body = request(port, f"/sampling?service={service}")
    except OSError:
        return None
    return json.loads(body) if status == 200 else None


def case_fluent_client(directory):
    """fluent-logger's events over TCP; an event with a chunk is acknowledged; bytes that are no events end their connection."""
    port = free_port()
    with OTLPSink() as sink:
        with Invar(directory, pipeline(sink, "fluentforward", f'endpoint = "127.0.0.1:{port}"', ["logs"]),
                   ["--stability.level=experimental"]) as invar:
            wait_until(invar.is_ready, 30, "invar to be ready")
            sent = send("fluent", port)
            wait_until(lambda: len(sink.items()) >= 2, 30, "the events at the receiver")
            # Requests of a queue with several consumers overtake each other.
            records = {value(record["body"]): record for _, _, record in sink.items()}
            for event in sent:
                body = event.pop("message", None) or event.pop("log")
                record = records.get(body)
                check(record is not None, f"{body} is missing: {records}")
                check(attributes(record["attributes"]) == {**event, "fluent.tag": "shop.orders"}, f"{record}")
            with socket.create_connection(("127.0.0.1", port), 20) as client:
                # [tag, [[time, {"message": "m"}]], {"chunk": "c1"}]
                client.sendall(b"\x93\xa1t\x91\x92\x01\x81\xa7message\xa1m\x81\xa5chunk\xa2c1")
                check(client.recv(100) == b"\x81\xa3ack\xa2c1", "the chunk is not acknowledged")
            with socket.create_connection(("127.0.0.1", port), 20) as client:
                client.sendall(b"\xc1\xc1\xc1")
                check(client.recv(100) == b"", "a broken connection stays open")
            check(invar.metric("otelcol_fluent_parse_failures_total") == 1, "the failure is not counted")
            check(invar.stop() == 0, "does not stop")


def case_influx_lines(directory):
    """Line protocol over HTTP: fields become gauges, bad lines are named."""
    port = free_port()
    body = ('cpu,host=web\\ 1,service.name=shop usage=0.5,count=3i,name="x" 1700000000000\n'
            "# a comment\n"
            "requests,code=200 counter=7 1700000000001\n")
    with OTLPSink() as sink:
        with Invar(directory, pipeline(sink, "influxdb", f'endpoint = "127.0.0.1:{port}"')) as invar:
            wait_until(invar.is_ready, 30, "invar to be ready")
            check(request(port, "/ping")[0] == 204, "no answer to a ping")
            status, answer = request(port, "/write?precision=ms", "POST", body, {"Content-Type": "text/plain"})
            check(status == 204, f"{status}: {answer}")
            wait_until(lambda: len(sink.items()) >= 3, 30, "the metrics at the receiver")
            found = {metric["name"]: (resource, metric) for resource, _, metric in sink.items()}
            check(set(found) == {"cpu_usage", "cpu_count", "requests"}, f"{set(found)}")
            check(found["cpu_usage"][0] == {"service.name": "shop"}, f"{found['cpu_usage']}")
            gauge = found["cpu_usage"][1]["gauge"]["dataPoints"][0]
            check(gauge["asDouble"] == 0.5 and gauge["timeUnixNano"] == "1700000000000000000", f"{gauge}")
            check(attributes(gauge["attributes"]) == {"host": "web 1"}, f"{gauge}")
            check(found["requests"][1]["sum"]["isMonotonic"], f"{found['requests']}")
            for lines in ("m\n", "m f=\n", "m f=1 now\n", "ok f=1\nm,t= f=1\n", 'm f="open\n'):
                status, answer = request(port, "/api/v2/write", "POST", lines, {"Content-Type": "text/plain"})
                check(status == 400 and b"line " in answer, f"{lines!r}: {status} {answer}")
            status, answer = request(port, "/write?precision=year", "POST", "m f=1\n", {"Content-Type": "text/plain"})
            check(status == 400, f"{status} for an unknown precision")
            check(invar.stop() == 0, "does not stop")
