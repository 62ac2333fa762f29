#!/usr/bin/env python3
"""Clients of others' protocols for cases_protocols.py; runs in the virtual environment.

`protocol_peer.py PROTOCOL PORT` sends what PROTOCOL's own client library makes of two spans or two events to the loopback and
prints what was sent as JSON: spans as objects of name, kind, trace, span and parent; events as objects.
"""

import json
import sys
import time


def zipkin(port):
    from opentelemetry.exporter.zipkin.json import ZipkinExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode

    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(ZipkinExporter(endpoint=f"http://127.0.0.1:{port}/api/v2/spans")))
    tracer = provider.get_tracer("lib", "1.0")
    with tracer.start_as_current_span("buy", kind=SpanKind.SERVER, attributes={"item": "book", "n": 3}) as parent:
        with tracer.start_as_current_span("pay", kind=SpanKind.CLIENT) as child:
            child.add_event("charged", {"amount": 7})
            child.set_status(Status(StatusCode.ERROR, "no money"))
    provider.shutdown()
    return [described(parent.name, 2, parent.context, None), described(child.name, 3, child.context, parent.context)]


def described(name, kind, context, parent):
    return {"name": name, "kind": kind, "trace": f"{context.trace_id:032x}", "span": f"{context.span_id:016x}",
            "parent": f"{parent.span_id:016x}" if parent else ""}


def jaeger(port):
    from jaeger_client import Config

    config = Config(service_name="shop", config={
        "sampler": {"type": "const", "param": 1}, "logging": False,
        "local_agent": {"reporting_host": "127.0.0.1", "reporting_port": port}})
    tracer = config.initialize_tracer()
    with tracer.start_span("buy", tags={"span.kind": "server", "item": "book", "n": 3}) as parent:
        with tracer.start_span("pay", child_of=parent, tags={"span.kind": "client", "error": True}) as child:
            child.log_kv({"event": "charged", "amount": 7})
    closed, deadline = tracer.close(), time.monotonic() + 20
    while not closed.done() and time.monotonic() < deadline:
        time.sleep(0.02)
    return [{"name": span.operation_name, "kind": kind, "trace": f"{span.trace_id:032x}", "span": f"{span.span_id:016x}",
             "parent": f"{span.parent_id:016x}" if span.parent_id else ""} for span, kind in ((parent, 2), (child, 3))]


def jaeger_grpc(port):
    import grpc

    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    def span(name, own, parent):
        reference = field(4, field(1, bytes(15) + b"\1") + field(2, parent)) if parent else b""
        return field(1, bytes(15) + b"\1") + field(2, own) + field(3, name) + reference

    spans = [(b"buy", bytes(7) + b"\2", b""), (b"pay", bytes(7) + b"\3", bytes(7) + b"\2")]
    batch = b"".join(field(1, span(*each)) for each in spans) + field(2, field(1, b"shop"))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/jaeger.api_v2.CollectorService/PostSpans", lambda data: data, lambda data: data)
        call(field(1, batch), timeout=20)
    return [{"name": name.decode(), "kind": 0, "trace": "0" * 31 + "1", "span": own.hex(), "parent": parent.hex()}
            for name, own, parent in spans]


def fluent(port):
    from fluent import sender

    events = [{"message": "out of stock", "item": "book", "n": 3}, {"log": "second", "nested": {"list": [1, "two", None]}}]
    client = sender.FluentSender("shop", host="127.0.0.1", port=port, nanosecond_precision=True)
    for event in events:
        if not client.emit("orders", event):
            raise RuntimeError(client.last_error)
    client.close()
    return events


def jaeger_sampling(port):
    """How many of a thousand spans of two operations the client samples, for each service the server knows."""
    import socket
    from jaeger_client import Config

    counts = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        for service in ("all", "none", "half", "limited", "shop"):
            tracer = Config(service_name=service, validate=True, config={
                "logging": False, "sampling_refresh_interval": 1, "local_agent": {
                    "reporting_host": "127.0.0.1", "reporting_port": agent.getsockname()[1], "sampling_port": port},
            }).new_tracer()
            first, deadline = str(tracer.sampler.sampler), time.monotonic() + 20
            while str(tracer.sampler.sampler) == first and time.monotonic() < deadline:
                time.sleep(0.02)
            counts[service] = {operation: sum(tracer.start_span(operation).is_sampled() for _ in range(1000))
                               for operation in ("pay", "list")}
            tracer.close()
    return counts


def jaeger_sampling_grpc(port):
    """The strategy of the service `limited` as bytes, in hexadecimal."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(
            "/jaeger.api_v2.SamplingManager/GetSamplingStrategy", lambda data: data, lambda data: data)
        return call(b"\x0a\x07limited", timeout=20).hex()


if __name__ == "__main__":
    protocols = {"zipkin": zipkin, "jaeger": jaeger, "jaeger-grpc": jaeger_grpc, "fluent": fluent,
                 "jaeger-sampling": jaeger_sampling, "jaeger-sampling-grpc": jaeger_sampling_grpc}
    print(json.dumps(protocols[sys.argv[1]](int(sys.argv[2]))), flush=True)
