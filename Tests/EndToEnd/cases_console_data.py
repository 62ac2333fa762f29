"""What passes a component, and the targets of scrapes, in the console: items of every kind, dropped targets, answers."""

import json
import urllib.request

from browser import Browser
from cases_console import PAYLOAD, Running
from exposition import Targets, counting
from harness import Invar, check, free_port, request, wait_until
from sinks import LokiSink, RemoteWriteSink

FLAGS = ["--stability.level=experimental"]


def pipeline(targets, metrics, logs, otlp, push):
    return f"""
        livedebugging {{ enabled = true }}
        discovery.relabel "d" {{
            targets = array.concat({targets.alloy()},
                [{{"__address__" = "127.0.0.1:2", "env" = {json.dumps("dev " + PAYLOAD)}}}])
            rule {{
                target_label = "__meta_zone"
                replacement  = "eu"
            }}
            rule {{
                source_labels = ["env"]
                regex         = "dev.*"
                action        = "drop"
            }}
            rule {{
                source_labels = ["__meta_zone"]
                target_label  = "zone"
            }}
        }}
        prometheus.scrape "s" {{
            targets         = discovery.relabel.d.output
            scrape_interval = "1s"
            scrape_timeout  = "900ms"
            forward_to      = [prometheus.relabel.r.receiver]
        }}
        prometheus.relabel "r" {{
            forward_to = [prometheus.remote_write.w.receiver]
            rule {{
                target_label = "added"
                replacement  = "yes"
            }}
        }}
        prometheus.remote_write "w" {{ endpoint {{ url = "{metrics.url}" }} }}
        loki.source.api "a" {{
            http {{
                listen_address = "127.0.0.1"
                listen_port    = {push}
            }}
            forward_to = [loki.write.w.receiver]
        }}
        loki.write "w" {{ endpoint {{ url = "{logs.url}" }} }}
        otelcol.receiver.otlp "o" {{
            http {{ endpoint = "127.0.0.1:{otlp}" }}
            output {{
                logs    = [otelcol.processor.batch.b.input]
                metrics = [otelcol.processor.batch.b.input]
                traces  = [otelcol.processor.batch.b.input]
            }}
        }}
        otelcol.processor.batch "b" {{
            timeout = "100ms"
            output {{
                logs    = [otelcol.exporter.debug.e.input]
                metrics = [otelcol.exporter.debug.e.input]
                traces  = [otelcol.exporter.debug.e.input]
            }}
        }}
        otelcol.exporter.debug "e" {{ verbosity = "basic" }}
        local.file "f" {{ filename = "/etc/hostname" }}
        """


class Data:
    """The pipeline above with everything it needs, and a browser before it."""

    def __init__(self, directory):
        self.parts = []
        self.otlp, self.push = free_port(), free_port()
        self.browser = self.add(Browser())
        self.targets = self.add(Targets({"t0": counting(5)}))
        self.metrics, self.logs = RemoteWriteSink(), LokiSink()
        self.invar = self.add(Invar(
            directory, pipeline(self.targets, self.metrics, self.logs, self.otlp, self.push), FLAGS))
        wait_until(self.invar.is_ready, 60, "the program to be ready")

    def add(self, part):
        self.parts.append(part)
        return part.__enter__()

    def send(self, port, path, body):
        answer = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(answer, timeout=30) as response:
            check(response.status in (200, 204), f"{path}: {response.status}")

    def log(self, line):
        self.send(self.push, "/loki/api/v1/push",
                  {"streams": [{"stream": {"app": "shop"}, "values": [["1700000000000000000", line]]}]})

    def span(self, name):
        self.send(self.otlp, "/v1/traces", {"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [{"spans": [{
                "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": name, "kind": 2,
                "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000"}]}]}]})

    def open(self, path, **options):
        return self.browser.open(f"http://127.0.0.1:{self.invar.port}/{path}", **options)

    finish = Running.finish

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in reversed(self.parts):
            part.__exit__(None, None, None)
        self.metrics.close()
        self.logs.close()


def rows(page):
    return page.evaluate("[...document.querySelectorAll('.stream li')].map((one) => one.innerText.replaceAll('\\n', ' '))")


def type_into(page, text):
    page.evaluate(f"""(() => {{ const box = document.querySelector('main input[type=search]'); box.value = {json.dumps(text)};
        box.dispatchEvent(new Event('input')) }})()""")


def case_console_live_data_of_every_kind(directory):
    """Metrics, logs and traces are seen on their way in and out, filtered and paused; only what has items offers them."""
    with Data(directory) as running:
        status, body = request(running.invar.port, "/api/v0/web/components")
        offers = {one["localID"]: one["liveDebuggingEnabled"] for one in json.loads(body)}
        check(not offers.pop("local.file.f") and all(offers.values()), f"live data is offered by {offers}")

        page = running.open("live?component=prometheus.relabel.r")
        page.wait("document.querySelectorAll('.stream li').length > 5")
        check(all("added=\"yes\"" in row for row in rows(page) if "=>" in row), f"relabel: {rows(page)[:3]}")
        type_into(page, "e2e_")
        count = page.wait("document.querySelectorAll('.stream li').length")
        check(0 < count and all("e2e_" in row for row in rows(page)), f"the filter keeps {rows(page)[:3]}")
        running.finish(page, "live-relabel")

        for component, way in (("prometheus.scrape.s", "out"), ("prometheus.remote_write.w", "in")):
            page = running.open(f"live?component={component}")
            page.wait("document.querySelectorAll('.stream li').length > 0")
            check(any(f" {way} " in row and "sample: ts=" in row for row in rows(page)), f"{component}: {rows(page)[:3]}")

        page = running.open("live?component=loki.write.w", width=390)
        page.wait("document.querySelector('select').value === 'loki.write.w'")

        def shows():
            running.log("a line " + PAYLOAD)
            return any("entry: a line " + PAYLOAD in row and " in " in row for row in rows(page))

        wait_until(shows, 60, "a line to be shown")
        page.evaluate("[...document.querySelectorAll('button')].find((one) => one.textContent === 'Pause').click()")
        before = len(rows(page))

        def waits():
            running.log("while paused")
            return "came while paused" in page.text(".summary")

        wait_until(waits, 60, "lines to wait while paused")
        check(len(rows(page)) == before, "a paused list grows")
        running.finish(page, "live-loki-write-390")

        page = running.open("live?component=otelcol.processor.batch.b")
        page.wait("document.querySelector('select').value === 'otelcol.processor.batch.b'")

        def passes():
            running.span("GET " + PAYLOAD)
            seen = [row for row in rows(page) if "GET " + PAYLOAD in row and "took=1000.0ms" in row and "service.name=shop" in row]
            return any(" in " in row for row in seen) and any(" out " in row for row in seen)

        wait_until(passes, 60, "a span to be shown on both sides")
        running.finish(page, "live-otelcol")
        unbalanced = {name: one["unaccounted"] for name, one in running.invar.ledger().items() if one["unaccounted"] != 0}
        check(len(unbalanced) < 3, f"the books are off: {unbalanced}")


def case_console_live_data_off(directory):
    """Without the block the page of live data says what to add, whether or not a component is named."""
    with Browser() as browser, Invar(directory, 'prometheus.echo "e" { }') as invar:
        wait_until(invar.is_ready, 60, "the program to be ready")
        for path in ("live", "live?component=prometheus.echo.e"):
            page = browser.open(f"http://127.0.0.1:{invar.port}/{path}")
            text = page.wait("document.querySelector('.note')?.innerText")
            check("livedebugging { enabled = true }" in text, f"{path}: {text}")


def case_console_target_details(directory):
    """A target's labels before and after, its next scrape, its answer on demand; dropped targets with their rule."""
    with Data(directory) as running:
        for width in (1280, 390):
            page = running.open("targets", width=width)
            page.wait("document.querySelector('.summary')?.innerText.includes('1 up')")
            page.evaluate("document.querySelector('tr.target button').click()")
            page.wait("document.querySelectorAll('.label-table tbody tr').length > 3")
            table = page.evaluate("Object.fromEntries([...document.querySelectorAll('.label-table tbody tr')].map((row) =>"
                                  "[row.cells[0].innerText, [row.cells[1].innerText, row.cells[2].innerText]]))")
            check(table["__meta_zone"] == ['"eu"', "\u2013"] and table["zone"] == ['"eu"', '"eu"'], f"labels: {table}")
            check(table["job"] == ["\u2013", '"prometheus.scrape.s"'] and "__address__" in table, f"labels: {table}")
            check("next scrape" in page.text(".target-detail"), page.text(".target-detail"))
            page.evaluate("[...document.querySelectorAll('button')].find((one) => one.textContent === 'Ask the target now').click()")
            answer = page.wait("document.querySelector('.answer')?.textContent")
            check("e2e_" in answer and "HTTP 200" in page.text(".target-detail"), f"the answer: {answer[:300]}")
            page.evaluate("document.querySelector('.dropped summary').click()")
            page.wait("document.querySelectorAll('.dropped tbody tr').length === 1")
            dropped = page.text(".dropped")
            check("rule 2: drop [env] regex dev.*" in dropped and "discovery.relabel.d" in dropped, f"dropped: {dropped}")
            check(json.dumps("dev " + PAYLOAD) in page.evaluate("document.querySelector('.dropped').textContent"), dropped)
            # Rows are drawn anew every five seconds: what is open stays open.
            page.evaluate("document.activeElement?.blur()")
            page.evaluate("document.querySelector('tr.target').dataset.old = 'yes'")
            page.wait("document.querySelector('tr.target') && !document.querySelector('tr.target').dataset.old")
            check(page.evaluate("document.querySelector('.answer')?.textContent ?? ''") == answer, "the answer went away")
            running.finish(page, f"target-details-{width}")
            page.evaluate("document.querySelector('.target-detail a[href^=\"explain?\"]').click()")
            page.wait("document.querySelector('.explained')?.innerText.includes('prometheus.scrape.s')")
            explained = page.text(".explained")
            check("discovery.relabel.d" in explained and "__meta_zone" in explained, f"the rules it meets: {explained}")

        path = "/api/v0/console/targets/answer?component=prometheus.scrape.s&target=http://127.0.0.1:1/"
        check(request(running.invar.port, path, method="POST")[0] == 404, "an address that is no target is asked")
        pool = json.loads(request(running.invar.port, "/api/v0/console/targets")[1])[0]
        path = f"/api/v0/console/targets/answer?component=prometheus.scrape.s&target={pool['targets'][0]['id']}"
        check(request(running.invar.port, path, method="POST", headers={"sec-fetch-site": "cross-site"})[0] == 403,
              "another site may make the program ask")


def case_console_health_and_cluster(directory):
    """A component's page keeps how its health changed; the page of the cluster says that there is none."""
    with Data(directory) as running:
        page = running.open("component/prometheus.scrape.s")
        page.wait("document.querySelectorAll('.health-history tbody tr').length >= 2")
        text = page.text(".health-history")
        check("component created" in text and "healthy" in text, f"health: {text}")
        page.wait("document.querySelectorAll('[data-part=metrics] .plot').length > 0")
        running.finish(page, "component-health")
        for width in (1280, 390):
            page = running.open("clustering", width=width)
            page.wait("document.querySelectorAll('main tbody tr').length === 1")
            check("works alone" in page.text("main") and "this process" in page.text("main"), page.text("main"))
            running.finish(page, f"cluster-{width}")
