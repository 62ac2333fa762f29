#!/usr/bin/env python3
"""Several OTLP servers and the OpenTelemetry SDK for cases_balancing.py; runs in the virtual environment.

Prints the ports of its servers as JSON, then answers each line on standard input with one of JSON:
`send ENDPOINT TRACES` sends traces of four spans and says what was sent, `stop N` and `start N` end and begin a server,
`state` says which spans each server has. A span is `trace/span`, both in hexadecimal.
"""

import json
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


class Server:
    def __init__(self):
        self.lock = threading.Lock()
        self.spans = []
        self.port = 0
        self.start()

    def export(self, request, _):
        with self.lock:
            for group in request.resource_spans:
                for scope in group.scope_spans:
                    self.spans += [f"{span.trace_id.hex()}/{span.span_id.hex()}" for span in scope.spans]
        return trace_pb.ExportTraceServiceResponse()

    def start(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {
            "Export": grpc.unary_unary_rpc_method_handler(
                self.export, request_deserializer=trace_pb.ExportTraceServiceRequest.FromString,
                response_serializer=trace_pb.ExportTraceServiceResponse.SerializeToString)}),))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()


class Remember(SpanProcessor):
    def __init__(self):
        self.spans = []

    def on_end(self, span):
        self.spans.append(f"{span.context.trace_id:032x}/{span.context.span_id:016x}")


def send(endpoint, traces):
    sent = Remember()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(sent)
    provider.add_span_processor(BatchSpanProcessor(
        OTLPSpanExporter(endpoint=endpoint, insecure=True), schedule_delay_millis=50, max_export_batch_size=37))
    tracer = provider.get_tracer("peer")
    for number in range(traces):
        with tracer.start_as_current_span("buy"):
            for name in ("pick", "pay", "ship"):
                tracer.start_span(name, attributes={"n": number}).end()
    provider.force_flush()
    provider.shutdown()
    return sent.spans


def main():
    servers = [Server() for _ in range(3)]
    print(json.dumps([server.port for server in servers]), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        answer = None
        if command == "send":
            answer = send(arguments[0], int(arguments[1]))
        elif command == "stop":
            servers[int(arguments[0])].stop()
        elif command == "start":
            servers[int(arguments[0])].start()
        elif command == "state":
            answer = []
            for server in servers:
                with server.lock:
                    answer.append(list(server.spans))
        print(json.dumps(answer), flush=True)
    for server in servers:
        server.stop()


if __name__ == "__main__":
    main()
