#!/usr/bin/env python3
"""What a scrape of the node and of its containers costs: CPU of the whole process for `prometheus.exporter.unix` and
`prometheus.exporter.cadvisor`, beside Debian's node_exporter with the node's part.

Makes control groups of version 1 or 2 with a process each, in the place of containers, and removes them at the end;
that needs root. Pages are read over HTTP as Prometheus does. CPU is user and system time from /proc/PID/stat.

    Benchmarks/exporters.py --containers 200 --scrapes 50
"""

import argparse
import gzip
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request

from otlp import INVAR, cpu_seconds, free_port, is_listening, peak_mebibytes, wait_until

CONFIGURATION = """
logging {
  level = "warn"
}
prometheus.exporter.unix "node" { }
prometheus.exporter.cadvisor "containers" {
  docker_only = false
}
"""
CGROUPS = "/sys/fs/cgroup"
PEER = "/usr/bin/prometheus-node-exporter"


class Containers:
    """Control groups with a sleeping process each."""

    def __init__(self, count):
        unified = os.path.exists(f"{CGROUPS}/cgroup.controllers")
        hierarchies = [CGROUPS] if unified else [
            f"{CGROUPS}/{name}" for name in ("cpu", "cpuacct", "memory", "blkio") if os.path.isdir(f"{CGROUPS}/{name}")]
        self.parents = [f"{root}/exporters-benchmark" for root in hierarchies]
        self.groups, self.processes = [], []
        try:
            for parent in self.parents:
                os.mkdir(parent)
                if unified:
                    for path in (CGROUPS, parent):
                        with open(f"{path}/cgroup.subtree_control", "w") as file:
                            file.write("+cpu +memory +io")
            for number in range(count):
                process = subprocess.Popen(["sleep", "infinity"])
                self.processes.append(process)
                for parent in self.parents:
                    group = f"{parent}/container-{number}"
                    os.mkdir(group)
                    self.groups.append(group)
                    with open(f"{group}/cgroup.procs", "w") as file:
                        file.write(str(process.pid))
        except BaseException:
            self.remove()
            raise

    def remove(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        for group in self.groups + [parent for parent in self.parents if os.path.isdir(parent)]:
            wait_until(lambda: self.removed(group), f"{group} to be empty")

    @staticmethod
    def removed(group):
        try:
            os.rmdir(group)
        except OSError:
            return False
        return True


def page(url):
    request = urllib.request.Request(url, headers={"accept-encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=30) as response:
        body = response.read()
        return gzip.decompress(body) if response.headers.get("content-encoding") == "gzip" else body


def series(body):
    return sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))


def scrape(pid, urls, count):
    """CPU milliseconds a scrape of all `urls`, and the series of each."""
    pages = [page(url) for url in urls]
    before = cpu_seconds(pid)
    for _ in range(count):
        pages = [page(url) for url in urls]
    return (cpu_seconds(pid) - before) / count * 1000, [series(body) for body in pages]


def row(what, pid, urls, count):
    cost, sizes = scrape(pid, urls, count)
    print(f"| {what} | {' + '.join(map(str, sizes))} | {cost:.1f} | {peak_mebibytes(pid):.0f} |", flush=True)


def started(command):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--containers", type=int, default=200)
    arguments.add_argument("--scrapes", type=int, default=50)
    chosen = arguments.parse_args()
    containers = Containers(chosen.containers)
    processes = []
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "config.alloy")
            with open(path, "w") as file:
                file.write(CONFIGURATION)
            port, peer_port = free_port(), free_port()
            collector = started([
                INVAR, "run", path, f"--storage.path={directory}/data", f"--server.http.listen-addr=127.0.0.1:{port}"])
            processes.append(collector)
            wait_until(lambda: is_listening(port), "the collector")
            base = f"http://127.0.0.1:{port}/api/v0/component/prometheus.exporter"
            node, container = f"{base}.unix.node/metrics", f"{base}.cadvisor.containers/metrics"
            print("| what | series | CPU ms a scrape | peak RSS MiB |")
            print("|---|---|---|---|")
            row("node", collector.pid, [node], chosen.scrapes)
            row(f"{chosen.containers} containers", collector.pid, [container], chosen.scrapes)
            row("both", collector.pid, [node, container], chosen.scrapes)
            if os.path.exists(PEER):
                peer = started([PEER, f"--web.listen-address=127.0.0.1:{peer_port}"])
                processes.append(peer)
                wait_until(lambda: is_listening(peer_port), "node_exporter")
                row("node, by node_exporter", peer.pid, [f"http://127.0.0.1:{peer_port}/metrics"], chosen.scrapes)
            for process in processes:
                process.send_signal(signal.SIGTERM)
                process.wait()
            processes = []
    finally:
        for process in processes:
            process.kill()
            process.wait()
        containers.remove()


if __name__ == "__main__":
    sys.exit(main())
