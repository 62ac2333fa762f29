"""What an invar.recent keeps, in the console: plots, entries and traces of a running pipeline compared with its API."""

import json
import os
import time

from browser import Browser
from cases_console import PAYLOAD, Running
from cases_otel import Peer
from harness import Invar, check, free_port, request, wait_until

API = "/api/v0/component/invar.recent.console"


def pipeline(logs, otlp):
    return f"""
        invar.recent "console" {{ }}
        prometheus.exporter.unix "node" {{ set_collectors = ["loadavg", "cpu"] }}
        prometheus.scrape "node" {{
            targets         = prometheus.exporter.unix.node.targets
            scrape_interval = "1s"
            scrape_timeout  = "900ms"
            forward_to      = [invar.recent.console.metrics_receiver]
        }}
        loki.source.file "logs" {{
            targets    = [{{"__path__" = "{logs}", "job" = "app"}}]
            forward_to = [invar.recent.console.logs_receiver]
        }}
        otelcol.receiver.otlp "sdk" {{
            http {{ endpoint = "127.0.0.1:{otlp}" }}
            output {{
                logs    = [invar.recent.console.input]
                metrics = [invar.recent.console.input]
                traces  = [invar.recent.console.input]
            }}
        }}
        """


class Explored:
    """The pipeline above with a browser before it."""

    def __init__(self, directory):
        self.logs = os.path.join(directory, "app.log")
        with open(self.logs, "w") as file:
            file.write("an ordinary line\n")
        self.otlp = free_port()
        self.browser = Browser().__enter__()
        try:
            self.invar = Invar(directory, pipeline(self.logs, self.otlp)).__enter__()
        except BaseException:
            self.browser.__exit__(None, None, None)
            raise
        wait_until(self.invar.is_ready, 60, "the program to be ready")

    def ask(self, path):
        status, body = request(self.invar.port, f"{API}/{path}")[:2]
        check(status == 200, f"{path}: {status} {body[:200]}")
        return json.loads(body)

    def log(self, line):
        with open(self.logs, "a") as file:
            file.write(line + "\n")

    def open(self, path, **options):
        return self.browser.open(f"http://127.0.0.1:{self.invar.port}/{path}", **options)

    finish = Running.finish

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.invar.__exit__(None, None, None)
        self.browser.__exit__(None, None, None)


def case_explore_metrics(directory):
    """The plot shows what the API says, soon after the page was opened; counters are shown as rates."""
    with Explored(directory) as running:
        wait_until(lambda: len(running.ask("series?match=node_load1")["series"]) == 1, 30, "the first sample")
        for width in (1280, 390):
            start = time.monotonic()
            page = running.open("explore?tab=metrics&match=node_load1", width=width)
            page.wait("document.querySelector('.time-plot path.plot-line')?.getAttribute('d').length > 8")
            check(time.monotonic() - start < 10, f"the first plot took {time.monotonic() - start:.1f} s")
            shown = page.evaluate("document.querySelector('.explore-legend b').title")
            last = running.ask("series?match=node_load1")["series"][0]["last"][1]
            check(abs(float(shown.replace(",", "")) - last) < 0.5, f"the page says {shown}, the API {last}")
            running.finish(page, f"explore-metrics-{width}")
        page = running.open("explore?tab=metrics&match=" + "node_cpu_seconds_total%7Bmode%3D%22idle%22%7D", dark=True)
        page.wait("document.querySelector('.summary').innerText.includes('increase a second')")
        count = len(running.ask("range?match=node_cpu_seconds_total%7Bmode%3D%22idle%22%7D")["series"])
        page.wait(f"document.querySelectorAll('.time-plot path.plot-line').length === {count}")
        page.evaluate("document.querySelector('.explore-legend button').click()")
        page.wait(f"document.querySelectorAll('.time-plot path.plot-line').length === {count - 1}")
        running.finish(page, "explore-rates")
        page = running.open("explore")
        page.wait("[...document.querySelectorAll('.explore-index button')].some((one) => one.innerText === 'node_load5')")
        page.evaluate("[...document.querySelectorAll('.explore-index button')].find((one) => one.innerText === 'node_load5').click()")
        page.wait("document.querySelector('.explore-legend')?.innerText.includes('node_load5')")
        check("match=node_load5" in page.evaluate("location.search"), "the address does not tell what is plotted")
        page = running.open("explore?match=%7Ba")
        page.wait("document.querySelector('.error[role=alert]')?.innerText.includes('match')")


def case_explore_logs(directory):
    """Lines come as they are written; hostile text stays text; search and pause work."""
    with Explored(directory) as running:
        wait_until(lambda: running.ask("logs")["entries"], 30, "the first line")
        for width in (1280, 390):
            page = running.open("explore?tab=logs", width=width)
            page.wait("document.querySelector('.entries')?.innerText.includes('an ordinary line')")
            line = f"error at {width}: {PAYLOAD}"
            running.log(line)
            page.wait(f"[...document.querySelectorAll('.entries .text')].some((one) => one.textContent === {json.dumps(line)})")
            check(page.evaluate("document.querySelectorAll('.entries li.failed').length") >= 1, "errors are not marked")
            page.evaluate("document.querySelector('.entries button').click()")
            check("app" in page.text(".entry-detail:not([hidden])"), "labels are not shown")
            running.finish(page, f"explore-logs-{width}")
        page.evaluate("document.querySelector('[aria-label=Search]').value = '/ordin[a]ry/'")
        page.evaluate("document.querySelector('form').requestSubmit()")
        page.wait("document.querySelectorAll('.entries li').length === 1")
        page.evaluate("[...document.querySelectorAll('button')].find((one) => one.innerText === 'Pause').click()")
        running.log("another ordinary line")
        wait_until(lambda: running.ask("logs?text=another%20ordinary")["entries"], 30, "the line in the store")
        check(page.evaluate("document.querySelectorAll('.entries li').length") == 1, "the pause is none")
        page.evaluate("[...document.querySelectorAll('button')].find((one) => one.innerText === 'Go on').click()")
        page.wait("document.querySelectorAll('.entries li').length === 2")


def case_explore_traces(directory):
    """The spans of the OpenTelemetry SDK stand below each other in a waterfall; its metrics and logs are there too."""
    with Explored(directory) as running, Peer(directory) as peer:
        peer.send("http", f"127.0.0.1:{running.otlp}", "-")
        wait_until(lambda: running.ask("traces")["traces"], 30, "the SDK's traces")
        check(running.ask("series?match=requests")["series"], "the SDK's metrics are missing")
        check(running.ask("logs?match=%7Bservice_name%3D%22peer-http%22%7D")["entries"], "the SDK's logs are missing")
        for width in (1280, 390):
            page = running.open("explore?tab=traces", width=width)
            page.wait("document.querySelectorAll('.traces tbody tr').length > 0")
            running.finish(page, f"explore-traces-{width}")
            page.evaluate("document.querySelector('.traces tbody button').click()")
            page.wait("document.querySelectorAll('.waterfall > li').length === 2")
            trace = running.ask("trace?id=" + page.evaluate("new URLSearchParams(location.search).get('trace')"))
            names = page.evaluate("[...document.querySelectorAll('.waterfall > li')].map((one) => "
                                  "[one.querySelector('b').innerText, one.dataset.depth, one.className])")
            check(names == [[trace["spans"][0]["name"], "0", ""], ["child", "1", "failed"]], f"{names} {trace}")
            page.evaluate("document.querySelectorAll('.waterfall > li > button')[1].click()")
            check("failed" in page.text(".span-detail:not([hidden])") and "thing" in page.text(".span-detail:not([hidden])"),
                  page.text(".waterfall"))
            running.finish(page, f"explore-trace-{width}")


def case_explore_nothing(directory):
    """Without a store the page says how to make one."""
    with Browser() as browser, Invar(directory, 'prometheus.echo "e" { }') as invar:
        wait_until(invar.is_ready, 60, "the program to be ready")
        page = browser.open(f"http://127.0.0.1:{invar.port}/explore")
        page.wait("document.querySelector('.note')?.innerText.includes('invar.recent')")
        status, body = request(invar.port, API + "/status")[:2]
        check(status == 404, f"{status} {body[:100]}")


def case_explore_below_a_path(directory):
    """Everything the page asks for lies below --server.http.ui-path-prefix."""
    flags = ("--server.http.ui-path-prefix=/ui",)
    with Browser() as browser, Invar(directory, 'invar.recent "console" { }', flags) as invar:
        wait_until(invar.is_ready, 60, "the program to be ready")
        page = browser.open(f"http://127.0.0.1:{invar.port}/ui/explore")
        page.wait("performance.getEntriesByType('resource').some((one) => one.name.includes('/api/v0/component/'))")
        asked = page.evaluate(
            "performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)")
        check(any(path.startswith(f"/ui{API}/") for path in asked) and all(path.startswith("/ui/") for path in asked), f"asked for {asked}")
        for path in (API, "/ui" + API):
            status, body = request(invar.port, path + "/status")[:2]
            check(status == 200, f"{path}: {status} {body[:100]}")
