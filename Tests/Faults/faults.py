"""What the cases share: receivers that misbehave, pushers that know what was acknowledged, and the books."""

import http.client
import json
import os
import random
import socket
import threading
import time

from harness import Failure, check, request, wait_until
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import wire

SEED = int(os.environ.get("INVAR_SEED", random.randrange(1 << 30)))


def generator(name):
    """Random choices of one case; INVAR_SEED makes them again."""
    return random.Random(f"{SEED}-{name}")


class Receiver:
    """A receiver that does to each request what `behaviour(number)` says, and notes when it accepted what.

    A behaviour is a status, or a dictionary: `status`, `headers`, `delay` (seconds before the answer), `hang` (no answer
    until the client gives up), `cut` (the connection is closed without an answer). Bodies answered with 2xx are kept.
    """

    def __init__(self, decode, path, port=0, behaviour=lambda number: 204):
        self.decode = decode
        self.path = path
        self.port = port
        self.behaviour = behaviour
        self.lock = threading.Lock()
        self.accepted = []
        self.requests = 0
        self.closing = threading.Event()
        self.server = None
        self.open()

    def open(self):
        """Listens; on the same port again after `shut`."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with receiver.lock:
                    receiver.requests += 1
                    what = receiver.behaviour(receiver.requests)
                if not isinstance(what, dict):
                    what = {"status": what}
                if what.get("hang"):
                    # Until the client closes, or the case is over.
                    self.connection.settimeout(0.2)
                    while not receiver.closing.is_set():
                        try:
                            if not self.connection.recv(1, socket.MSG_PEEK):
                                break
                        except TimeoutError:
                            continue
                        except OSError:
                            break
                    self.close_connection = True
                    return
                receiver.closing.wait(what.get("delay", 0))
                if what.get("cut"):
                    self.close_connection = True
                    self.connection.close()
                    return
                status = what.get("status", 204)
                headers = dict(what.get("headers", {}))
                if status < 300:
                    headers = {**receiver.take(body), **headers}
                self.send_response(status)
                self.send_header("Content-Length", "0")
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                """A client that was killed is no news."""

        self.closing.clear()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def take(self, body):
        """Keeps what was accepted; the headers of the answer."""
        now = time.monotonic()
        with self.lock:
            self.accepted.append((now, body))
        return {}

    def shut(self):
        """Stops listening: connections are refused until `open`."""
        if self.server is None:
            return
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.path}"

    def arrivals(self):
        """Every item accepted with the time of its arrival."""
        with self.lock:
            accepted = list(self.accepted)
        return [(when, item) for when, body in accepted for item in self.decode(body)]

    def items(self):
        return [item for _, item in self.arrivals()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shut()


def remote_write_receiver(**options):
    return Receiver(wire.remote_write, "/api/v1/write", **options)


def loki_receiver(**options):
    return Receiver(wire.loki_push, "/loki/api/v1/push", **options)


class Pusher(threading.Thread):
    """Pushes numbered lines until told to stop, each request until it is acknowledged.

    `acknowledged` are the numbers whose request was answered with 204; `repeated` those that were sent more than once, so
    that they may rightly arrive twice. `answers` counts statuses; `without_wait` refusals that named no Retry-After.
    """

    def __init__(self, port, name, per_request=50, pause=0.0, payload=None, limit=None):
        super().__init__(daemon=True)
        self.port = port
        self.worker = name
        self.per_request = per_request
        self.pause = pause
        self.payload = payload or (lambda number: "some text of a usual length for a log line")
        self.limit = limit
        self.acknowledged = set()
        self.repeated = set()
        self.answers = {}
        self.without_wait = 0
        self.stopping = threading.Event()

    def run(self):
        first = 0
        while not self.stopping.is_set() and (self.limit is None or first < self.limit):
            numbers = range(first, first + self.per_request)
            lines = [f"{self.worker}-{number} {self.payload(number)}" for number in numbers]
            base = time.time_ns()
            body = json.dumps({"streams": [{
                "stream": {"pusher": self.worker},
                "values": [[str(base + index), line] for index, line in enumerate(lines)]}]})
            if not self.push(numbers, body):
                return
            self.acknowledged.update(numbers)
            first += self.per_request
            self.stopping.wait(self.pause)

    def push(self, numbers, body):
        """Until acknowledged; False when told to stop before that."""
        attempt = 0
        while True:
            attempt += 1
            if attempt > 1:
                self.repeated.update(numbers)
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                try:
                    connection.request(
                        "POST", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
                    response = connection.getresponse()
                    response.read()
                    self.answers[response.status] = self.answers.get(response.status, 0) + 1
                    if response.status == 204:
                        return True
                    if response.status in (429, 503) and not response.getheader("Retry-After"):
                        self.without_wait += 1
                finally:
                    connection.close()
            except OSError:
                pass
            except http.client.HTTPException:
                pass
            if self.stopping.wait(0.05):
                return False

    def stop(self):
        self.stopping.set()
        self.join(40)
        check(not self.is_alive(), "a pusher does not stop")


def pushed(items):
    """(pusher, number) of lines as pushers send them."""
    for _, _, line in items:
        name, number = line.split(" ", 1)[0].rsplit("-", 1)
        yield name, int(number)


def check_no_loss(pushers, receiver):
    """Every acknowledged line has arrived."""
    arrived = set(pushed(receiver.items()))
    for pusher in pushers:
        missing = sorted(n for n in pusher.acknowledged if (pusher.worker, n) not in arrived)
        check(not missing, f"{pusher.worker}: {len(missing)} acknowledged lines are missing, the first {missing[:5]}")


def check_twice(arrivals, key, kills, window, but=frozenset(), existed=None):
    """What arrived twice had its first arrival within `window` seconds before a kill. Returns how many did.

    Where both copies may be on their way at once, since a source reads again what its queue has already, `existed` says
    whether an item was there at the kill of an index; its arrivals may both follow the kill then.
    """
    first = {}
    twice = 0
    for when, item in arrivals:
        name = key(item)
        if name not in first:
            first[name] = when
            continue
        if name in but:
            continue
        twice += 1
        early = first[name]
        check(
            any(kill <= when and kill - early <= window and
                (existed(name, index) if existed else early <= kill) for index, kill in enumerate(kills)),
            f"{name} arrived twice, {when - early:.2f} s apart, and no kill within {window} s after the first explains it")
    return twice


def check_books(invar, seconds=20):
    """The ledger's law for every component, at a moment when nothing moves; returns the books."""
    def balanced():
        books = invar.ledger()
        return books if all(book["unaccounted"] == 0 for book in books.values()) else None

    try:
        wait_until(balanced, seconds, "balanced books")
    except Failure:
        raise Failure("the books do not balance: " + json.dumps(
            [book for book in invar.ledger().values() if book["unaccounted"] != 0]))
    books = balanced()
    check(books is not None, "the books went out of balance again")
    for book in books.values():
        held = sum(entry["items"] for entry in book["held"])
        dropped = sum(entry["items"] for entry in book["dropped"])
        left = book["in"] + book["restored"] + book["created"]
        right = book["out"] + book["merged"] + dropped + held
        check(left == right, f"{book['componentID']}: {left} came, {right} are accounted for: {book}")
        for entry in book["held"]:
            check(entry["items"] >= 0, f"{book['componentID']} holds {entry}")
    return books


def held(book):
    return sum(entry["items"] for entry in book["held"])


def dropped(book, reason=None):
    return sum(entry["items"] for entry in book["dropped"] if reason in (None, entry["reason"]))


def wait_until_empty(invar, component, seconds):
    wait_until(lambda: held(invar.ledger()[component]) == 0, seconds, f"{component} to hold nothing")


def api_to_wal(url, port, extra="", endpoint=""):
    """Pushes arrive on `port` and leave through a write-ahead log."""
    return f"""
        loki.source.api "a" {{
            http {{
                listen_address = "127.0.0.1"
                listen_port    = {port}
            }}
            forward_to             = [loki.write.w.receiver]
            use_incoming_timestamp = true
        }}
        loki.write "w" {{
            endpoint {{
                name                = "main"
                url                 = "{url}"
                batch_wait          = "100ms"
                min_backoff_period  = "50ms"
                max_backoff_period  = "500ms"
                max_backoff_retries = 0
                {endpoint}
            }}
            wal {{
                enabled       = true
                drain_timeout = "5s"
            }}
            {extra}
        }}
        """


def pushers_ready(port):
    def ready():
        try:
            return request(port, "/ready")[0] > 0
        except OSError:
            return False

    wait_until(ready, 30, "loki.source.api to listen")
