"""An API server of Kubernetes for the cases: lists in pages, watches with bookmarks and 410, logs that are followed.

Standard library only. Objects are dictionaries; what kind they are is decided by the path they are put under.
"""

import base64
import json
import queue
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def pod(namespace, name, node, ip, labels=None, containers=(("main", ()),), phase="Running"):
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {
            "nodeName": node, "restartPolicy": "Always",
            "containers": [
                {"name": container, "image": f"registry.local/{container}:1",
                 "ports": [{"name": port, "containerPort": number, "protocol": "TCP"} for port, number in ports]}
                for container, ports in containers]},
        "status": {
            "phase": phase, "podIP": ip, "hostIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": container, "containerID": f"containerd://{name}-{container}",
                 "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}} for container, _ in containers]},
    }


def secret(namespace, name, data):
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": name, "namespace": namespace}, "type": "Opaque", "data": encoded}


def field(item, path):
    for part in path.split("."):
        item = item.get(part, {}) if isinstance(item, dict) else {}
    return item if isinstance(item, str) else ""


class Api:
    """The server. `token` is what clients must send; None lets everybody in."""

    def __init__(self, token=None):
        self.token = token
        self.version = 100
        self.oldest = 0
        self.objects = {}
        self.events = {}
        self.watchers = []
        self.logs = {}
        self.followers = []
        self.requests = []
        self.lock = threading.RLock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                try:
                    api.answer(self)
                except (BrokenPipeError, ConnectionError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                """A client that went away is no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop_streams()
        self.server.shutdown()
        self.server.server_close()

    # What the case does

    def put(self, plural, item):
        with self.lock:
            self.version += 1
            item = json.loads(json.dumps(item))
            item["metadata"]["resourceVersion"] = str(self.version)
            key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
            known = self.objects.setdefault(plural, {})
            kind = "MODIFIED" if key in known else "ADDED"
            known[key] = item
            self.publish(plural, kind, item)

    def delete(self, plural, namespace, name):
        with self.lock:
            item = self.objects.get(plural, {}).pop((namespace, name), None)
            if item:
                self.version += 1
                item["metadata"]["resourceVersion"] = str(self.version)
                self.publish(plural, "DELETED", item)

    def publish(self, plural, kind, item):
        self.events.setdefault(plural, []).append((self.version, kind, item))
        for watcher in self.watchers:
            if watcher["plural"] == plural and self.selects(watcher, item):
                watcher["queue"].put({"type": kind, "object": item})

    def expire(self):
        """Old versions answer 410 from now on, and every watch ends."""
        with self.lock:
            self.version += 1
            self.oldest = self.version
            self.events = {}
        self.drop_streams()

    def drop_streams(self):
        """Ends every watch and every followed log."""
        with self.lock:
            for stream in self.watchers + self.followers:
                stream["queue"].put(None)
            self.watchers = []
            self.followers = []

    def log(self, namespace, name, container, time, line):
        with self.lock:
            self.logs.setdefault((namespace, name, container), []).append((time, line))
            for follower in self.followers:
                if follower["log"] == (namespace, name, container):
                    follower["queue"].put((time, line))

    # How it answers

    def selects(self, query, item):
        if query["namespace"] and item["metadata"].get("namespace") != query["namespace"]:
            return False
        labels = item["metadata"].get("labels", {})
        for part in filter(None, re.split(r",(?![^(]*\))", query["labels"])):
            match = re.fullmatch(r"(\S+) (in|notin) \((.*)\)", part)
            if match:
                inside = labels.get(match[1]) in match[3].split(",")
                if inside != (match[2] == "in"):
                    return False
            elif "=" in part:
                name, value = re.split("==?", part, maxsplit=1)
                if labels.get(name) != value:
                    return False
            elif part not in labels:
                return False
        for part in filter(None, query["fields"].split(",")):
            path, value = re.split("==?", part, maxsplit=1)
            if field(item, path) != value:
                return False
        return True

    def refuse(self, handler, code, reason, message):
        self.send(handler, code, {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": message})

    def send(self, handler, code, document):
        body = json.dumps(document).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def answer(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        values = dict(urllib.parse.parse_qsl(url.query))
        with self.lock:
            self.requests.append(handler.path)
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            return self.refuse(handler, 401, "Unauthorized", "Unauthorized")
        parts = url.path.strip("/").split("/")
        if parts == ["version"]:
            return self.send(handler, 200, {"gitVersion": "v1.36.0"})
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if len(rest) >= 3 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        query = {
            "plural": rest[0], "namespace": namespace, "labels": values.get("labelSelector", ""),
            "fields": values.get("fieldSelector", "")}
        if len(rest) == 3 and rest[2] == "log":
            return self.answer_log(handler, (namespace, rest[1], values.get("container", "")), values)
        if len(rest) == 2:
            with self.lock:
                item = self.objects.get(rest[0], {}).get((namespace, rest[1]))
            if item is None:
                return self.refuse(handler, 404, "NotFound", f'{rest[0]} "{rest[1]}" not found')
            return self.send(handler, 200, item)
        if values.get("watch"):
            return self.answer_watch(handler, query, int(values.get("resourceVersion") or 0))
        return self.answer_list(handler, query, values)

    def answer_list(self, handler, query, values):
        with self.lock:
            items = sorted(self.objects.get(query["plural"], {}).items())
            version = self.version
        start = json.loads(values["continue"]) if values.get("continue") else None
        items = [(key, item) for key, item in items if self.selects(query, item) and (not start or list(key) > start)]
        limit = int(values.get("limit") or 10**9)
        metadata = {"resourceVersion": str(version)}
        if len(items) > limit:
            metadata["continue"] = json.dumps(list(items[limit - 1][0]))
        self.send(handler, 200, {
            "kind": "List", "apiVersion": "v1", "metadata": metadata, "items": [item for _, item in items[:limit]]})

    def stream(self, handler, content_type, chunks):
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()
        for chunk in chunks:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    def answer_watch(self, handler, query, version):
        watcher = {**query, "queue": queue.Queue()}
        with self.lock:
            if version < self.oldest:
                return self.refuse(handler, 410, "Expired", f"too old resource version: {version}")
            for number, kind, item in self.events.get(query["plural"], []):
                if number > version and self.selects(query, item):
                    watcher["queue"].put({"type": kind, "object": item})
            self.watchers.append(watcher)
        events = iter(watcher["queue"].get, None)
        self.stream(handler, "application/json", (json.dumps(event).encode() + b"\n" for event in events))

    def answer_log(self, handler, log, values):
        follower = {"log": log, "queue": queue.Queue()}
        since = values.get("sinceTime", "")[:19]
        with self.lock:
            for time, line in self.logs.get(log, []):
                if time[:19] >= since:
                    follower["queue"].put((time, line))
            if values.get("follow") == "true":
                self.followers.append(follower)
            else:
                follower["queue"].put(None)
        lines = iter(follower["queue"].get, None)
        self.stream(handler, "text/plain", (f"{time} {line}\n".encode() for time, line in lines))
