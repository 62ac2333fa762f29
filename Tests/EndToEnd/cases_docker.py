"""Logs and values of containers through a real Docker daemon."""

import docker
from exposition import Targets
from harness import Invar, check, request, wait_until
from sinks import LokiSink

# Numbered lines on both outputs and now and then a long one; the last is left without its end.
SCRIPT = """
n=0; long=$(busybox yes 0123456789 | busybox head -c 40000 | busybox tr -d '\\n')
while [ $n -lt COUNT ]; do
  n=$((n+1)); echo "$n out"; echo "$n err" >&2
  if [ $((n % 50)) = 0 ]; then echo "$n long $long"; fi
done
printf 'unfinished'
WAIT
"""


def script(count, then="sleep 100000"):
    return SCRIPT.replace("COUNT", str(count)).replace("WAIT", then)


def expected(count):
    long = ("0123456789\n" * 4000)[:40000].replace("\n", "")
    lines = []
    for number in range(1, count + 1):
        lines += [f"{number} out", f"{number} err"]
        if number % 50 == 0:
            # Longer than the 16 KiB that a message holds.
            lines.append(f"{number} long {long}")
    return lines


def configuration(host, sink, short):
    return f"""
        discovery.docker "all" {{
            host             = "{host}"
            refresh_interval = "1s"
            filter {{
                name   = "label"
                values = ["discovered"]
            }}
        }}
        discovery.relabel "all" {{
            targets = []
            rule {{
                source_labels = ["__meta_docker_container_name"]
                regex         = "/(.*)"
                target_label  = "container"
            }}
            rule {{
                source_labels = ["__meta_docker_container_log_stream"]
                target_label  = "stream"
            }}
        }}
        loki.source.docker "all" {{
            host          = "{host}"
            targets       = discovery.docker.all.targets
            labels        = {{job = "docker"}}
            relabel_rules = discovery.relabel.all.rules
            forward_to    = [loki.write.w.receiver]
        }}
        loki.source.docker "stopped" {{
            host          = "{host}"
            targets       = [{{
                __meta_docker_container_id = "{short}", __meta_docker_container_name = "/short",
            }}]
            labels        = {{job = "docker"}}
            relabel_rules = discovery.relabel.all.rules
            forward_to    = [loki.write.w.receiver]
        }}
        loki.write "w" {{
            endpoint {{
                url        = "{sink.url}"
                batch_wait = "100ms"
            }}
        }}
        """


def case_docker_logs_arrive_once(directory):
    """Containers with and without a terminal; restarts of the collector, of containers and of the daemon."""
    with docker.Daemon(directory) as daemon, LokiSink() as sink:
        first = daemon.run("plain", script(200))
        terminal = daemon.run("terminal", script(100), tty=True)
        short = daemon.run("short", script(60, then="exit 0"), label="listed")

        def lines(container, stream=None):
            found = []
            for labels, _, line in sink.items():
                pairs = dict(labels) if not isinstance(labels, str) else dict(
                    pair.strip().split("=", 1) for pair in labels.strip("{}").split(","))
                if pairs["container"].strip('"') != container:
                    continue
                if stream and pairs["stream"].strip('"') != stream:
                    continue
                found.append(line.decode() if isinstance(line, bytes) else line)
            return found

        def arrived(container, count):
            wait_until(lambda: len(lines(container)) >= count, 60, f"{count} lines of {container}")

        text = configuration(f"unix://{daemon.socket}", sink, short)
        plain = expected(200)
        with Invar(directory, text) as invar:
            arrived("plain", len(plain))
            arrived("terminal", len(expected(100)))
            arrived("short", len(expected(60)) + 1)
            check(sorted(lines("plain")) == sorted(plain), "lines of the container")
            check(lines("plain", "stderr") == [line for line in plain if line.endswith("err")], "order of stderr")
            check(lines("plain", "stdout") == [line for line in plain if not line.endswith("err")], "order of stdout")
            check(sorted(lines("terminal")) == sorted(expected(100)), "lines of the terminal")
            check(sorted(lines("short")) == sorted(expected(60) + ["unfinished"]), "lines of the one that ended")
            check(invar.stop() == 0, "does not stop")
        with Invar(directory, text) as invar:
            # The same container runs again: what it wrote before stays, what it left unfinished is a line.
            daemon.restart(first)
            daemon.restart(terminal)
            arrived("plain", 2 * len(plain) + 1)
            arrived("terminal", 2 * len(expected(100)))
            check(sorted(lines("plain")) == sorted(2 * plain + ["unfinished"]), "lines after a restart")
            daemon.stop()
            daemon.start()
            daemon.restart(short)
            arrived("short", 2 * len(expected(60)) + 2)
            again = daemon.run("later", script(50))
            arrived("later", len(expected(50)))
            check(sorted(lines("short")) == sorted(2 * (expected(60) + ["unfinished"])), "after the daemon's restart")
            check(sorted(lines("plain")) == sorted(2 * plain + ["unfinished"]), "lines repeated by the daemon's restart")
            daemon.remove(again)
            wait_until(lambda: invar.metric("loki_source_docker_containers", component_id="loki.source.docker.all") == 2, 60, "the container to be let go")
            check(invar.stop() == 0, "does not stop")
        joined = [line for line in lines("terminal") if line.startswith("unfinished")]
        print(f"# {len(sink.items())} lines, {len(joined)} of a terminal's unfinished")


def case_docker_containers_are_measured(directory):
    """Containers of a real daemon: values of their groups, and the metrics an application says it has."""
    with Targets({"app": lambda number: b'jobs_done{queue="a"} %d\n' % number}) as targets, docker.Daemon(directory) as daemon:
        setup = "busybox mkdir -p /etc; echo '{\"endpoint\": \"URL\"}' > /etc/app.json; n=0; while true; do n=$((n+1)); done"
        container = daemon.run(
            "busy", setup.replace("URL", f"http://127.0.0.1:{targets.port}/app"),
            labels={"io.cadvisor.metric.prometheus": "/etc/app.json", "team": "storage"})
        configuration = f"""
            prometheus.exporter.cadvisor "c" {{
                docker_host      = "unix://{daemon.socket}"
                enabled_metrics  = ["app", "cpu", "memory", "sched", "referenced_memory", "process"]
                docker_only      = true
            }}
            """

        def values(name):
            status, page = request(invar.port, "/api/v0/component/prometheus.exporter.cadvisor.c/metrics")
            check(status == 200, f"status {status}")
            lines = [line for line in page.decode().splitlines() if line.startswith(name + "{") and 'name="busy"' in line]
            return [(line.rsplit("}", 1)[0], float(line.rsplit(" ", 1)[1])) for line in lines]

        with Invar(directory, configuration) as invar:
            wait_until(lambda: values("container_cpu_usage_seconds_total"), 60, "the container")
            first = values("container_cpu_schedstat_run_seconds_total")[0][1]
            wait_until(lambda: values("container_cpu_schedstat_run_seconds_total")[0][1] > first, 60, "work to show")
            labels, memory = values("container_memory_usage_bytes")[0]
            check(container in labels and 'container_label_team="storage"' in labels, labels)
            check(memory > 0 and values("container_referenced_bytes")[0][1] > 0, "memory")
            check(values("container_processes")[0][1] >= 1, "processes")
            wait_until(lambda: values("jobs_done"), 60, "the application's metric")
            check('app_queue="a"' in values("jobs_done")[0][0], "labels of the application's metric")
            check(invar.stop() == 0, "does not stop")
