"""Logs from files and clients to Loki receivers."""

import json
import os
import threading
import time

from harness import LONG, Invar, check, free_port, request, wait_until
from sinks import LokiSink


def files_to(url, directory, stages=""):
    return f"""
        local.file_match "files" {{
            path_targets = [{{"__path__" = "{directory}/logs/*.log", "job" = "e2e"}}]
            sync_period  = "500ms"
        }}
        loki.source.file "files" {{
            targets    = local.file_match.files.targets
            forward_to = [loki.process.p.receiver]
            file_watch {{
                min_poll_frequency = "50ms"
                max_poll_frequency = "100ms"
            }}
        }}
        loki.process "p" {{
            forward_to = [loki.write.w.receiver]
            {stages}
        }}
        loki.write "w" {{
            endpoint {{
                url        = "{url}"
                batch_wait = "200ms"
            }}
        }}
        """


class Writer(threading.Thread):
    """Appends numbered lines to files at a rate, rotating by rename now and then."""

    def __init__(self, directory, files, rate, seconds, rotate_every):
        super().__init__(daemon=True)
        os.makedirs(f"{directory}/logs", exist_ok=True)
        self.directory = directory
        self.files = files
        self.per_tick = max(1, rate // 20 // files)
        self.ticks = seconds * 20
        self.rotate_every = rotate_every
        self.written = [0] * files

    def run(self):
        pace = threading.Event()
        handles = [open(f"{self.directory}/logs/{index}.log", "ab") for index in range(self.files)]
        start = time.monotonic()
        for tick in range(self.ticks):
            for index, handle in enumerate(handles):
                first = self.written[index]
                lines = "".join(
                    f"file={index} number={number} level=info some text of a usual length for a log line\n"
                    for number in range(first, first + self.per_tick))
                handle.write(lines.encode())
                handle.flush()
                self.written[index] += self.per_tick
                # A file that is renamed before anybody has seen it is nobody's.
                if self.rotate_every and tick >= 80 and (tick + index * 7) % self.rotate_every == self.rotate_every - 1:
                    handle.close()
                    path = f"{self.directory}/logs/{index}.log"
                    os.rename(path, f"{path}.{tick}")
                    handles[index] = open(path, "ab")
            pace.wait(max(0, start + (tick + 1) / 20 - time.monotonic()))
        for handle in handles:
            handle.close()


def numbers(items):
    """Line numbers by file, duplicates included."""
    seen = {}
    for _, _, line in items:
        parts = dict(part.split("=", 1) for part in line.split(" ")[:2])
        seen.setdefault(int(parts["file"]), []).append(int(parts["number"]))
    return seen


def case_files_with_rotation_and_kill(directory):
    """20 files, 10,000 lines/s, rotations, kill -9 in the middle: every line arrives."""
    seconds = 60 if LONG else 15
    with LokiSink() as sink:
        configuration = files_to(sink.url, directory)
        writer = Writer(directory, files=20, rate=10_000, seconds=seconds, rotate_every=90)
        writer.start()
        port = free_port()
        with Invar(directory, configuration, port=port) as invar:
            wait_until(lambda: sum(writer.written) > 10_000 * seconds // 2, seconds * 3, "half of the lines")
            invar.kill()
        with Invar(directory, configuration, port=port) as invar:
            restarted = sum(writer.written)
            wait_until(lambda: sum(len(set(v)) for v in numbers(sink.items()).values()) >= restarted, 30, "the backlog")
            writer.join()
            total = sum(writer.written)
            try:
                wait_until(lambda: sum(len(set(v)) for v in numbers(sink.items()).values()) >= total, 60, "all lines")
            finally:
                cpu = invar.cpu_seconds()
                invar.stop()
        seen = numbers(sink.items())
        for index in range(20):
            missing = sorted(set(range(writer.written[index])) - set(seen.get(index, [])))
            check(not missing, f"file {index}: {len(missing)} lines are missing, the first {missing[:3]}")
        duplicates = sum(len(v) for v in seen.values()) - total
        print(f"# {total} lines, {duplicates} twice after the kill, {cpu:.2f} s CPU of the second process")
        check(duplicates <= total // 4, f"{duplicates} of {total} lines arrived twice")


def case_truncated_file(directory):
    """copytruncate: what is written after the truncation arrives."""
    with LokiSink() as sink, Invar(directory, files_to(sink.url, directory)) as invar:
        os.makedirs(f"{directory}/logs")
        path = f"{directory}/logs/a.log"
        with open(path, "ab") as file:
            file.write(b"".join(b"file=0 number=%d before\n" % n for n in range(100)))
        wait_until(lambda: len(sink.items()) >= 100, 30, "the first lines")
        with open(path, "r+b") as file:
            file.truncate(0)
        with open(path, "ab") as file:
            file.write(b"".join(b"file=0 number=%d after\n" % n for n in range(100, 150)))
        wait_until(lambda: set(numbers(sink.items()).get(0, [])) >= set(range(150)), 30, "the lines after")


def case_huge_line(directory):
    """A line of hundreds of megabytes: memory stays bounded, the lines around it arrive."""
    size = 1 << 30 if LONG else 256 << 20
    os.makedirs(f"{directory}/logs")
    with open(f"{directory}/logs/a.log", "wb") as file:
        file.write(b"file=0 number=0 first\n")
        for _ in range(size >> 20):
            file.write(b"x" * (1 << 20))
        file.write(b"\nfile=0 number=1 last\n")
    with LokiSink() as sink, Invar(directory, files_to(sink.url, directory)) as invar:
        def arrived():
            with sink.lock:
                bodies = list(sink.bodies)
            lines = [line for body in bodies for _, _, line in sink.decode(body)]
            return any("number=1 last" in line for line in lines)

        wait_until(arrived, 90, "the line after the huge one")
        peak = invar.memory("VmHWM")
        check(peak < 300 << 20, f"memory reached {peak >> 20} MiB")


def case_push_interface(directory):
    """A client pushes JSON; wrong bodies get 400; what was acknowledged arrives."""
    port = free_port()
    with LokiSink() as sink:
        configuration = f"""
            loki.source.api "api" {{
                http {{
                    listen_address = "127.0.0.1"
                    listen_port    = {port}
                }}
                use_incoming_timestamp = true
                labels                 = {{"via" = "api"}}
                forward_to             = [loki.write.w.receiver]
            }}
            loki.write "w" {{
                endpoint {{
                    url        = "{sink.url}"
                    batch_wait = "100ms"
                }}
            }}
            """
        with Invar(directory, configuration) as invar:
            body = json.dumps({"streams": [{"stream": {"app": "x"}, "values": [
                ["1700000000000000001", "first"], ["1700000000000000002", "second", {"trace": "t"}]]}]})
            headers = {"Content-Type": "application/json"}

            def push():
                try:
                    return request(port, "/loki/api/v1/push", "POST", body, headers)[0]
                except OSError:
                    return None

            check(wait_until(push, 20, "the push interface") == 204, "the push was not accepted")
            check(request(port, "/loki/api/v1/push", "POST", "{", headers)[0] == 400, "half a body is accepted")
            check(request(port, "/loki/api/v1/push", "POST", b"\xff\xff\xff", {"Content-Type": "application/x-protobuf"})[0]
                  == 400, "bytes that are no push are accepted")
            wait_until(lambda: len(sink.items()) >= 2, 20, "the lines")
            labels, stamp, line = sink.items()[0]
            check('app="x"' in labels and 'via="api"' in labels, labels)
            check((stamp, line) == (1700000000000000001, "first"), f"{stamp} {line}")
            check(invar.stop() == 0, "does not stop")
