#!/usr/bin/env python3
"""What scraping and remote write cost: CPU, memory and losses of the whole process, beside a peer.

`pipeline-load` serves targets and checks what arrives; invar, and Debian's `prometheus --enable-feature=agent` after it,
collect from the same targets at the same interval. CPU is user and system time of the collector's process from
/proc/PID/stat, between the first scrapes and the end of the run; memory is its VmHWM.

    Benchmarks/pipeline.py                  all scenarios, as in Docs/Performance.md
    Benchmarks/pipeline.py 100x1000 churn   the one of that name, and those that begin with churn (`churn*`)
    Benchmarks/pipeline.py --seconds 10 --no-peer --json results.json
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INVAR = os.environ.get("INVAR_BINARY", os.path.join(ROOT, ".build", "release", "invar"))
LOAD = os.environ.get("PIPELINE_LOAD", os.path.join(ROOT, ".build", "release", "pipeline-load"))
TICK = os.sysconf("SC_CLK_TCK")


class Scenario:
    def __init__(self, name, targets, series, interval=1, seconds=20, churn=0, drops=False, scale=False):
        self.name, self.targets, self.series, self.interval = name, targets, series, interval
        self.seconds, self.churn, self.drops, self.scale = seconds, churn, drops, scale


SCENARIOS = [
    Scenario("100x1000", 100, 1000),
    Scenario("1x500000", 1, 500_000, interval=5, seconds=30),
    Scenario("100x1000-drop-20%", 100, 1000, drops=True),
    Scenario("100x1000-churn-10%", 100, 1000, churn=10),
    Scenario("scale-targets-1", 100, 1000, interval=10, seconds=40, scale=True),
    Scenario("scale-targets-4", 400, 1000, interval=10, seconds=40, scale=True),
    Scenario("scale-targets-16", 1600, 1000, interval=10, seconds=40, scale=True),
    Scenario("scale-series-4", 100, 4000, interval=10, seconds=40, scale=True),
    Scenario("scale-series-16", 100, 16000, interval=10, seconds=40, scale=True),
]


class Load:
    """The targets and the receiver, and what the receiver has seen."""

    def __init__(self, scenario, network):
        arguments = [LOAD, "--targets", scenario.targets, "--series", scenario.series, "--churn", scenario.churn,
                     "--network", network]
        if scenario.drops:
            arguments += ["--dropped-code", "500"]
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        hello = json.loads(self.process.stdout.readline())
        self.targets = hello["targets"]
        self.url = f"http://127.0.0.1:{hello['receiver']}/api/v1/write"

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Invar:
    name = "invar"

    def __init__(self, directory):
        self.directory = directory

    def configure(self, scenario, load):
        targets = "\n".join(f'    {{ "__address__" = "{target}" }},' for target in load.targets)
        receiver = "prometheus.remote_write.bench.receiver"
        rules = ""
        if scenario.drops:
            rules = f"""
prometheus.relabel "bench" {{
  forward_to = [{receiver}]
  rule {{
    source_labels = ["code"]
    regex         = "500"
    action        = "drop"
  }}
}}
"""
            receiver = "prometheus.relabel.bench.receiver"
        with open(f"{self.directory}/config.alloy", "w") as file:
            file.write(f"""
prometheus.scrape "bench" {{
  targets         = [
{targets}
  ]
  scrape_interval = "{scenario.interval}s"
  scrape_timeout  = "{scenario.interval}s"
  forward_to      = [{receiver}]
}}
{rules}
prometheus.remote_write "bench" {{
  endpoint {{
    url = "{load.url}"
  }}
}}
""")

    def start(self, port):
        return [INVAR, "run", f"{self.directory}/config.alloy", f"--storage.path={self.directory}/storage",
                f"--server.http.listen-addr=127.0.0.1:{port}"]


class PrometheusAgent:
    name = "prometheus agent"

    def __init__(self, directory):
        self.directory = directory

    def configure(self, scenario, load):
        rules = ""
        if scenario.drops:
            rules = """
    metric_relabel_configs:
      - {source_labels: [code], regex: "500", action: drop}"""
        with open(f"{self.directory}/prometheus.yml", "w") as file:
            file.write(f"""
scrape_configs:
  - job_name: prometheus.scrape.bench
    scrape_interval: {scenario.interval}s
    scrape_timeout: {scenario.interval}s
    static_configs:
      - targets: {json.dumps(load.targets)}{rules}
remote_write:
  - url: {load.url}
""")

    def start(self, port):
        return ["prometheus", "--enable-feature=agent", f"--config.file={self.directory}/prometheus.yml",
                f"--storage.agent.path={self.directory}/data", f"--web.listen-address=127.0.0.1:{port}"]


class Process:
    """A collector that is measured."""

    def __init__(self, arguments, log):
        self.log = open(log, "wb")
        self.started = time.monotonic()
        self.child = subprocess.Popen(arguments, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def cpu_seconds(self):
        with open(f"/proc/{self.child.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, name):
        """MiB."""
        with open(f"/proc/{self.child.pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def wait_ready(self, port, path, seconds=60):
        """Seconds from the start to the first 200."""
        while time.monotonic() - self.started < seconds:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as response:
                    if response.status == 200:
                        return time.monotonic() - self.started
            except (urllib.error.URLError, OSError):
                pass
            if self.child.poll() is not None:
                raise RuntimeError(f"the collector ended with {self.child.returncode}, see {self.log.name}")
            time.sleep(0.001)
        raise RuntimeError("the collector is not ready")

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(90)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(collector_type, scenario, network, profile=None):
    """One collector on one scenario: a dictionary of figures."""
    directory = tempfile.mkdtemp(prefix="pipeline-")
    load = Load(scenario, network)
    process = None
    try:
        collector = collector_type(directory)
        collector.configure(scenario, load)
        port = free_port()
        process = Process(collector.start(port), f"{directory}/log")
        process.wait_ready(port, "/-/ready")
        # Every target scraped twice: what is measured are scrapes of known series, and the churn asked for.
        deadline = time.monotonic() + 120
        while (before := load.ask("snapshot"))["least_scrapes"] < 2:
            if time.monotonic() > deadline:
                raise RuntimeError("the targets are not scraped")
            time.sleep(0.05)
        cpu, start = process.cpu_seconds(), time.monotonic()
        sampler = None
        if profile:
            sampler = subprocess.Popen(
                ["perf", "record", "-F", "1999", "-g", "-o", profile, "-p", str(process.child.pid)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(scenario.seconds)
        if sampler:
            sampler.send_signal(signal.SIGINT)
            sampler.wait()
        cpu_end, after, elapsed = process.cpu_seconds(), load.ask("snapshot"), time.monotonic() - start
        steady = process.memory("VmRSS")
        peak = process.memory("VmHWM")
        time.sleep(min(scenario.interval, 2))
        process.stop()
        result = load.ask("result")
        samples = after["scraped"] - before["scraped"]
        keep = os.environ.get("PIPELINE_KEEP_LOG")
        if keep:
            shutil.copy(f"{directory}/log", keep)
        return {
            "collector": collector.name, "scenario": scenario.name, "samples": samples,
            "per_second": samples / elapsed, "cpu_seconds": cpu_end - cpu,
            "cpu_per_million": (cpu_end - cpu) / samples * 1e6, "cpu_total_per_million":
                cpu_end / max(after["scraped"], 1) * 1e6,
            "peak_mib": peak, "steady_mib": steady,
            "bytes_per_sample": result["bytes"] / max(result["correct"], 1),
            "samples_per_request": result["correct"] / max(result["requests"], 1), **result,
        }
    finally:
        if process:
            process.stop()
        load.stop()
        shutil.rmtree(directory, ignore_errors=True)


def idle(collector_type):
    """Memory after ten seconds with nothing to do, and the time from exec to ready: the least of five starts."""
    directory = tempfile.mkdtemp(prefix="pipeline-")
    try:
        collector = collector_type(directory)
        times = []
        memory = 0.0
        for attempt in range(5):
            path = f"{directory}/config.alloy" if collector_type is Invar else f"{directory}/prometheus.yml"
            with open(path, "w") as file:
                file.write("" if collector_type is Invar else "remote_write: [{url: http://127.0.0.1:1/}]\n")
            port = free_port()
            process = Process(collector.start(port), f"{directory}/log")
            try:
                times.append(process.wait_ready(port, "/-/ready"))
                if attempt == 4:
                    time.sleep(10)
                    memory = process.memory("VmRSS")
            finally:
                process.stop()
        return {"collector": collector.name, "ready_ms": min(times) * 1000, "idle_mib": memory}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def stripped_size(binary):
    """MB of the program without symbols."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["strip", "-o", file.name, binary], check=True)
        return os.path.getsize(file.name) / 1e6


def losses(result):
    return (f"{result['missing']} missing, {result['duplicates']} twice, {result['corrupt']} corrupt, "
            f"{result['unwanted']} unwanted")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--seconds", type=float, help="instead of each scenario's own")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--no-idle", action="store_true")
    parser.add_argument("--json", help="file for all figures")
    parser.add_argument("--profile", help="file for a perf recording of invar")
    parser.add_argument("--network", type=int, default=1, help="127.N.0.0/16 holds the targets")
    options = parser.parse_args()
    for program in (INVAR, LOAD):
        if not os.path.exists(program):
            sys.exit(f"{program} is missing: make release and swift build -c release --product pipeline-load")
    chosen = [s for s in SCENARIOS if not options.scenarios or any(word == s.name or word.endswith("*") and s.name.startswith(word[:-1]) for word in options.scenarios)]
    collectors = [Invar]
    if not options.no_peer and shutil.which("prometheus"):
        collectors.append(PrometheusAgent)
    results = []
    print("| scenario | collector | samples/s | CPU s per million | ratio | peak RSS MiB | bytes/sample | losses |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for scenario in chosen:
        if options.seconds:
            scenario.seconds = options.seconds
        own = None
        for collector in collectors:
            try:
                result = run(collector, scenario, options.network, options.profile if collector is Invar else None)
            except RuntimeError as error:
                print(f"| {scenario.name} | {collector.name} | {error} | | | | | |", flush=True)
                continue
            results.append(result)
            own = own or result
            print(f"| {scenario.name} | {collector.name} | {result['per_second']:,.0f} | "
                  f"{result['cpu_per_million']:.2f} | {result['cpu_per_million'] / own['cpu_per_million']:.1f} | "
                  f"{result['peak_mib']:.0f} | {result['bytes_per_sample']:.1f} | {losses(result)} |", flush=True)
    if not options.no_idle:
        print("\n| collector | ready after ms | idle RSS MiB |\n|---|---|---|")
        for collector in collectors:
            figures = idle(collector)
            results.append(figures)
            print(f"| {figures['collector']} | {figures['ready_ms']:.0f} | {figures['idle_mib']:.1f} |", flush=True)
        print(f"\nStripped program: {stripped_size(INVAR):.1f} MB")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
