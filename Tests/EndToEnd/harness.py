"""Processes, ports and waiting for the end-to-end cases. Standard library only."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("INVAR_BINARY", os.path.join(ROOT, ".build", "release", "invar"))
LONG = bool(os.environ.get("INVAR_LONG"))


class Skip(Exception):
    """The machine lacks what a case needs."""


class Failure(AssertionError):
    """What a case found wrong."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    """Polls until `condition()` is true and returns its value."""
    event = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"timed out after {seconds} s waiting for {what}")
        event.wait(0.05)


def request(port, path, method="GET", body=None, headers=None, timeout=30):
    """Status and body of one request to loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Directory:
    """A directory that is removed with the case."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="invar-e2e-")
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Program:
    """A child process with its output in a file; stopped by its pid."""

    def __init__(self, arguments, log, environment=None):
        self.log = log
        self.output = open(log, "ab")
        self.process = subprocess.Popen(
            arguments, stdout=self.output, stderr=self.output, stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM, then waits; returns the exit code."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure(f"{self.process.args[0]} did not stop within {seconds} s")
        finally:
            self.output.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.is_running():
            self.process.kill()
            self.process.wait()
        self.output.close()

    def log_text(self):
        with open(self.log, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def memory(self, field="VmRSS"):
        """A field of /proc/PID/status in bytes; VmHWM is the most ever resident."""
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        raise Failure(f"no {field} in the status of {self.pid}")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Invar(Program):
    """`invar run` on a configuration text."""

    def __init__(self, directory, configuration, flags=(), environment=None, port=None, wait=True):
        self.directory = directory
        self.file = os.path.join(directory, "config.alloy")
        self.port = port or free_port()
        self.write(configuration)
        super().__init__(
            [BINARY, "run", self.file, f"--storage.path={directory}/data",
             f"--server.http.listen-addr=127.0.0.1:{self.port}", *flags],
            os.path.join(directory, "invar.log"), environment)
        if wait:
            wait_until(self.is_ready, 30, "invar to be ready")

    def write(self, configuration):
        """Replaces the configuration at once: a reload must never see half of it."""
        with open(self.file + ".new", "w") as file:
            file.write(configuration)
        os.replace(self.file + ".new", self.file)

    def is_ready(self):
        if not self.is_running():
            raise Failure("invar stopped:\n" + self.log_text()[-4000:])
        try:
            return request(self.port, "/-/ready")[0] == 200
        except OSError:
            return False

    def reload(self):
        status, body = request(self.port, "/-/reload", "POST")
        return status, body.decode()

    def components(self):
        return {c["localID"]: c for c in json.loads(request(self.port, "/api/v0/web/components")[1])}

    def ledger(self):
        return {c["componentID"]: c for c in json.loads(request(self.port, "/api/v0/web/ledger")[1])}

    def metrics(self):
        return request(self.port, "/metrics")[1].decode()

    def metric(self, name, **labels):
        """The sum of a metric's series that have all `labels`."""
        total = None
        for line in self.metrics().splitlines():
            if not line.startswith(name) or line[len(name):len(name) + 1] not in ("{", " "):
                continue
            if all(f'{key}="{value}"' in line for key, value in labels.items()):
                total = (total or 0) + float(line.rsplit(" ", 1)[1])
        return total


class Prometheus(Program):
    """Debian's Prometheus as a receiver of remote write."""

    def __init__(self, directory, port=None):
        binary = shutil.which("prometheus")
        if not binary:
            raise Skip("prometheus is not installed")
        self.port = port or free_port()
        configuration = os.path.join(directory, "prometheus.yml")
        with open(configuration, "w") as file:
            file.write("global: {}\n")
        super().__init__(
            [binary, f"--config.file={configuration}", f"--storage.tsdb.path={directory}/tsdb",
             f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver"],
            os.path.join(directory, "prometheus.log"))
        wait_until(self.is_ready, 60, "prometheus to be ready")

    def is_ready(self):
        if not self.is_running():
            raise Failure("prometheus stopped:\n" + self.log_text()[-2000:])
        try:
            return request(self.port, "/-/ready")[0] == 200
        except OSError:
            return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    def query(self, expression):
        status, body = request(
            self.port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}), timeout=120)
        check(status == 200, f"query {expression}: {status} {body[:200]}")
        return json.loads(body)["data"]["result"]
