#!/usr/bin/env python3
"""The OpenTelemetry SDK as a client and a sink of its own protocol, for cases_otel.py; runs in the virtual environment.

Prints the ports of its sinks as JSON, then for each line `PROTOCOL ENDPOINT SINK` on standard input sends traces, metrics
and logs over PROTOCOL (grpc, http) to ENDPOINT, waits until they are at SINK (grpc, http) and prints what differs. With the sink
`-` it only sends.
"""

import collections
import gzip
import json
import logging
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

KINDS = {
    "traces": (trace_pb.ExportTraceServiceRequest, trace_pb.ExportTraceServiceResponse,
               "opentelemetry.proto.collector.trace.v1.TraceService"),
    "metrics": (metrics_pb.ExportMetricsServiceRequest, metrics_pb.ExportMetricsServiceResponse,
                "opentelemetry.proto.collector.metrics.v1.MetricsService"),
    "logs": (logs_pb.ExportLogsServiceRequest, logs_pb.ExportLogsServiceResponse,
             "opentelemetry.proto.collector.logs.v1.LogsService"),
}


class Sink:
    """Keeps what was exported to it, by signal."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = collections.defaultdict(list)

    def take(self, kind, message):
        with self.lock:
            self.requests[kind].append(message)

    def items(self):
        with self.lock:
            return {kind: flatten(kind, self.requests[kind]) for kind in KINDS}

    def clear(self):
        with self.lock:
            self.requests.clear()


def flatten(kind, requests):
    """Every item with its resource and scope, as bytes, in a multiset."""
    found = collections.Counter()
    for request in requests:
        for group in getattr(request, "resource_" + {"traces": "spans", "metrics": "metrics", "logs": "logs"}[kind]):
            for scope in getattr(group, "scope_" + {"traces": "spans", "metrics": "metrics", "logs": "logs"}[kind]):
                for item in getattr(scope, {"traces": "spans", "metrics": "metrics", "logs": "log_records"}[kind]):
                    found[b"|".join(part.SerializeToString(deterministic=True)
                                    for part in (group.resource, scope.scope, item))] += 1
    return found


def http_sink(sink):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            kind = self.path.rsplit("/", 1)[1]
            sink.take(kind, KINDS[kind][0].FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def grpc_sink(sink):
    server = grpc.server(futures.ThreadPoolExecutor(8))
    for kind, (request, response, service) in KINDS.items():
        def export(message, context, kind=kind, response=response):
            sink.take(kind, message)
            return response()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {
            "Export": grpc.unary_unary_rpc_method_handler(
                export, request_deserializer=request.FromString,
                response_serializer=response.SerializeToString)}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port, server


class Remember:
    """An exporter that encodes and keeps."""

    def __init__(self, encode):
        self.encode = encode
        self.requests = []

    def export(self, items, **_):
        self.requests.append(self.encode(items))
        return SpanExportResult.SUCCESS

    def shutdown(self, *_, **__):
        pass

    def force_flush(self, *_, **__):
        return True


def exporters(protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        options = {"endpoint": endpoint, "insecure": True, "compression": grpc.Compression.Gzip}
        return OTLPSpanExporter(**options), OTLPMetricExporter(**options), OTLPLogExporter(**options)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    return tuple(exporter(endpoint=f"http://{endpoint}/v1/{kind}", compression=Compression.Gzip)
                 for exporter, kind in ((OTLPSpanExporter, "traces"), (OTLPMetricExporter, "metrics"),
                                        (OTLPLogExporter, "logs")))


def send(protocol, endpoint, spans):
    """Sends through the SDK and returns what was sent, by signal."""
    resource = Resource.create({"service.name": f"peer-{protocol}", "host.cpus": 2, "zones": ["a", "b"]})
    span_exporter, metric_exporter, log_exporter = exporters(protocol, endpoint)
    sent_spans, sent_logs = Remember(encode_spans), Remember(encode_logs)

    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(span_exporter, schedule_delay_millis=100))
    tracers.add_span_processor(SimpleSpanProcessor(sent_spans))
    tracer = tracers.get_tracer("peer", "1.0")
    for index in range(spans):
        with tracer.start_as_current_span(
                f"parent {index}", kind=SpanKind.SERVER, attributes={"n": index, "ratio": 0.5, "ok": True}) as parent:
            with tracer.start_as_current_span(
                    "child", links=[Link(parent.get_span_context(), {"why": "test"})]) as child:
                child.add_event("thing", {"list": [1, 2, 3], "text": "\u00fcber"})
                child.set_status(Status(StatusCode.ERROR, "failed"))
    tracers.force_flush()

    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(log_exporter, schedule_delay_millis=100))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(sent_logs))
    logger = logging.getLogger(f"peer-{protocol}-{time.monotonic_ns()}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(LoggingHandler(logger_provider=loggers))
    for index in range(spans):
        logger.warning("line %d", index, extra={"number": index})
    loggers.force_flush()

    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader], resource=resource)
    meter = meters.get_meter("peer")
    counter, histogram = meter.create_counter("requests"), meter.create_histogram("latency", unit="ms")
    for index in range(spans):
        counter.add(1, {"code": index % 7})
        histogram.record(index * 1.5, {"code": index % 3})
    data = reader.get_metrics_data()
    metric_exporter.export(data)
    for part in (tracers, loggers, meters):
        part.shutdown()
    return {"traces": flatten("traces", sent_spans.requests), "logs": flatten("logs", sent_logs.requests),
            "metrics": flatten("metrics", [encode_metrics(data)])}


def main():
    sinks = {"http": Sink(), "grpc": Sink()}
    grpc_port, server = grpc_sink(sinks["grpc"])
    print(json.dumps({"http": http_sink(sinks["http"]), "grpc": grpc_port}), flush=True)
    for line in sys.stdin:
        protocol, endpoint, name = line.split()
        if name == "-":
            send(protocol, endpoint, 5)
            print(json.dumps([]), flush=True)
            continue
        sinks[name].clear()
        sent = send(protocol, endpoint, 300)
        deadline = time.monotonic() + 60
        while sinks[name].items() != sent and time.monotonic() < deadline:
            time.sleep(0.05)
        got = sinks[name].items()
        problems = [
            f"{kind}: {sum((sent[kind] - got[kind]).values())} missing, {sum((got[kind] - sent[kind]).values())} more, "
            f"of {sum(sent[kind].values())}"
            for kind in sent if sent[kind] != got[kind] or not sent[kind]]
        print(json.dumps(problems), flush=True)
    server.stop(0)


if __name__ == "__main__":
    main()
