"""Metrics made of spans, and traces sampled by what is in them: from OTLP to a real Prometheus and to an OTLP receiver."""

import json
import random
import time

from harness import Invar, Prometheus, check, free_port, request, wait_until
from sinks import OTLPSink

SERVER, CLIENT = 2, 3


def make_traces(count):
    """Traces of a call from `front` to `back`, with known durations and some failures."""
    generator = random.Random(11)
    traces = []
    for number in range(count):
        milliseconds = generator.randint(1, 400)
        traces.append({"id": f"{number + 1:032x}", "milliseconds": milliseconds, "failed": number % 7 == 0,
                       "slow": milliseconds >= 200})
    return traces


def export(traces):
    """The request for both sides of every call."""
    now = time.time_ns()

    def span(trace, kind):
        begin = now - 10**9
        own, parent = ("1", "") if kind == CLIENT else ("2", "1")
        made = {"traceId": trace["id"], "spanId": own.zfill(16), "name": "buy", "kind": kind,
                "startTimeUnixNano": str(begin), "endTimeUnixNano": str(begin + trace["milliseconds"] * 10**6),
                "status": {"code": 2 if trace["failed"] else 0}}
        if parent:
            made["parentSpanId"] = parent.zfill(16)
        return made

    def group(service, kind):
        return {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"spans": [span(trace, kind) for trace in traces]}]}

    return json.dumps({"resourceSpans": [group("front", CLIENT), group("back", SERVER)]})


def send(port, traces):
    for start in range(0, len(traces), 50):
        status, answer = request(
            port, "/v1/traces", "POST", export(traces[start:start + 50]), {"Content-Type": "application/json"})
        check(status == 200, f"{status}: {answer}")


def case_span_metrics_and_service_graph(directory):
    """The series in Prometheus are what the sent spans add up to."""
    port = free_port()
    with Prometheus(directory) as prometheus:
        configuration = f"""
            otelcol.receiver.otlp "in" {{
                http {{ endpoint = "127.0.0.1:{port}" }}
                output {{
                    traces = [otelcol.connector.spanmetrics.s.input, otelcol.connector.servicegraph.g.input]
                }}
            }}
            otelcol.connector.spanmetrics "s" {{
                metrics_flush_interval = "1s"
                histogram {{
                    unit = "s"
                    explicit {{ buckets = ["100ms", "200ms"] }}
                }}
                output {{ metrics = [otelcol.exporter.prometheus.p.input] }}
            }}
            otelcol.connector.servicegraph "g" {{
                metrics_flush_interval = "1s"
                output {{ metrics = [otelcol.exporter.prometheus.p.input] }}
            }}
            otelcol.exporter.prometheus "p" {{ forward_to = [prometheus.remote_write.w.receiver] }}
            prometheus.remote_write "w" {{
                endpoint {{
                    url = "{prometheus.url}"
                    queue_config {{ batch_send_deadline = "500ms" }}
                }}
            }}
            """
        traces = make_traces(400)
        failed = sum(trace["failed"] for trace in traces)
        seconds = sum(trace["milliseconds"] for trace in traces) / 1000

        def value(query):
            result = prometheus.query(query)
            return float(result[0]["value"][1]) if result else None

        wanted = {
            'sum(traces_span_metrics_calls_total{service_name="front"})': len(traces),
            'sum(traces_span_metrics_calls_total{service_name="back",status_code="STATUS_CODE_ERROR"})': failed,
            'sum(traces_span_metrics_duration_seconds_bucket{service_name="back",le="0.1"})':
                sum(trace["milliseconds"] <= 100 for trace in traces),
            'sum(traces_span_metrics_duration_seconds_sum{service_name="front"})': seconds,
            'sum(traces_service_graph_request_total{client="front",server="back"})': len(traces),
            'sum(traces_service_graph_request_failed_total{client="front",server="back"})': failed,
            'sum(traces_service_graph_request_server_seconds_count)': len(traces),
            'sum(traces_service_graph_request_client_seconds_sum)': seconds,
        }
        with Invar(directory, configuration) as invar:
            wait_until(invar.is_ready, 30, "invar to be ready")
            send(port, traces)
            for query, expected in wanted.items():
                wait_until(lambda: value(query) is not None and abs(value(query) - expected) < 1e-6, 30,
                           f"{query} to be {expected}, it is {value(query)}")
            check(invar.stop() == 0, "does not stop")


def case_tail_sampling(directory):
    """Exactly the traces that a policy names arrive, each with all its spans."""
    port = free_port()
    with OTLPSink() as sink:
        configuration = f"""
            otelcol.receiver.otlp "in" {{
                http {{ endpoint = "127.0.0.1:{port}" }}
                output {{ traces = [otelcol.processor.tail_sampling.t.input] }}
            }}
            otelcol.processor.tail_sampling "t" {{
                decision_wait = "2s"
                policy {{
                    name = "failed"
                    type = "status_code"
                    status_code {{ status_codes = ["ERROR"] }}
                }}
                policy {{
                    name = "slow"
                    type = "latency"
                    latency {{ threshold_ms = 200 }}
                }}
                output {{ traces = [otelcol.exporter.otlphttp.out.input] }}
            }}
            otelcol.exporter.otlphttp "out" {{
                encoding = "json"
                client {{
                    endpoint    = "{sink.url}"
                    compression = "none"
                }}
            }}
            """
        traces = make_traces(400)
        wanted = {trace["id"] for trace in traces if trace["failed"] or trace["slow"]}
        with Invar(directory, configuration) as invar:
            wait_until(invar.is_ready, 30, "invar to be ready")
            send(port, traces)
            wait_until(lambda: len(sink.items()) >= 2 * len(wanted), 30, "the sampled spans")
            wait_until(lambda: (invar.metric("otelcol_processor_tail_sampling_global_count_traces_sampled_total") or 0)
                       == len(traces), 30, "every decision")
            check(invar.stop() == 0, "does not stop")
        got = [span["traceId"] for _, _, span in sink.items()]
        check(set(got) == wanted, f"{len(set(got) - wanted)} too many, {len(wanted - set(got))} missing")
        check(len(got) == 2 * len(wanted), f"{len(got)} spans of {2 * len(wanted)}")


def case_prometheus_to_otlp_and_back(directory):
    """What a target serves comes through OTLP and both conversions to Prometheus as it was."""
    from exposition import Targets, constant

    text = ('# TYPE jobs counter\njobs_total{queue="a"} 7\n# TYPE depth gauge\ndepth 1.5\n'
            '# TYPE wait histogram\nwait_bucket{le="0.5"} 2\nwait_bucket{le="+Inf"} 5\nwait_sum 3.5\nwait_count 5\n'
            '# TYPE size summary\nsize{quantile="0.5"} 4\nsize_sum 9\nsize_count 2\n')
    with Targets({"t": constant(text)}) as targets, Prometheus(directory) as prometheus:
        configuration = f"""
            prometheus.scrape "s" {{
                targets         = {targets.alloy()}
                scrape_interval = "1s"
                scrape_timeout  = "900ms"
                forward_to      = [otelcol.receiver.prometheus.r.receiver]
            }}
            otelcol.receiver.prometheus "r" {{ output {{ metrics = [otelcol.exporter.prometheus.p.input] }} }}
            otelcol.exporter.prometheus "p" {{
                include_scope_labels = false
                forward_to           = [prometheus.remote_write.w.receiver]
            }}
            prometheus.remote_write "w" {{
                endpoint {{
                    url = "{prometheus.url}"
                    queue_config {{ batch_send_deadline = "500ms" }}
                }}
            }}
            """
        wanted = {'jobs_total{queue="a"}': 7, "depth": 1.5, 'wait_bucket{le="0.5"}': 2, 'wait_bucket{le="+Inf"}': 5,
                  "wait_sum": 3.5, "wait_count": 5, 'size{quantile="0.5"}': 4, "size_sum": 9, "size_count": 2,
                  'up{job="prometheus.scrape.s"}': 1}
        with Invar(directory, configuration) as invar:
            for query, expected in wanted.items():
                wait_until(lambda: [float(each["value"][1]) for each in prometheus.query(query)] == [expected], 30,
                           f"{query} to be {expected}: {prometheus.query(query)}")
            check(invar.stop() == 0, "does not stop")
