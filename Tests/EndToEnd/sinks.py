"""Receivers that remember what they were sent, and refuse on demand."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import wire


class Sink:
    """Answers every POST by `answer(request_number)` (a status) and keeps the bodies it accepted."""

    def __init__(self, decode, port=0, answer=lambda number: 204):
        self.decode = decode
        self.answer = answer
        self.bodies = []
        self.authorizations = set()
        self.requests = 0
        self.lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with sink.lock:
                    sink.requests += 1
                    sink.authorizations.add(self.headers.get("Authorization"))
                    status = sink.answer(sink.requests)
                    if status < 300:
                        sink.bodies.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                """A client that was killed is no news."""

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def items(self):
        """Everything accepted, decoded, in order of arrival."""
        with self.lock:
            bodies = list(self.bodies)
        return [item for body in bodies for item in self.decode(body)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RemoteWriteSink(Sink):
    def __init__(self, **options):
        super().__init__(wire.remote_write, **options)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v1/write"


class TokenServer:
    """Grants a token named after the path to every request, and keeps what it was asked."""

    def __init__(self):
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def grant(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                path, _, query = self.path.partition("?")
                server.asked.append((path, query, body))
                answer = json.dumps({"access_token": "for" + path.replace("/", "-"), "expires_in": 3600}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = grant

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class LokiSink(Sink):
    def __init__(self, **options):
        super().__init__(wire.loki_push, **options)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/loki/api/v1/push"


def value(encoded):
    """A value of OTLP/JSON as one of Python."""
    kind, content = next(iter(encoded.items()), (None, None))
    if kind == "intValue":
        return int(content)
    if kind == "arrayValue":
        return [value(element) for element in content.get("values", [])]
    if kind == "kvlistValue":
        return attributes(content.get("values", []))
    if kind == "bytesValue":
        return base64.b64decode(content)
    return content


def attributes(pairs):
    return {pair["key"]: value(pair.get("value", {})) for pair in pairs}


class OTLPSink(Sink):
    """Takes OTLP/JSON and keeps every span, record or data point with the attributes of its resource."""

    def __init__(self, port=0, answer=lambda number: 200):
        super().__init__(self.decode_export, port, answer)
        self.url = f"http://127.0.0.1:{self.port}"

    @staticmethod
    def decode_export(body):
        export = json.loads(body)
        for signal, scopes, items in (("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords"),
                                      ("resourceMetrics", "scopeMetrics", "metrics")):
            for group in export.get(signal, []):
                resource = attributes(group.get("resource", {}).get("attributes", []))
                for scope in group.get(scopes, []):
                    for item in scope.get(items, []):
                        yield resource, scope.get("scope", {}), item

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
