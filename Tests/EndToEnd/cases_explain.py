"""`invar explain` and the page Explain: what items meet, in a file and in a running program."""

import json
import os
import subprocess

import kubernetes
from cases_console import PAYLOAD, Running
from cases_kubernetes import kubeconfig
from harness import BINARY, Invar, check, free_port, request, wait_until

LOGS = r"""
discovery.kubernetes "pods" {
	role = "pod"
}

discovery.relabel "pods" {
	targets = discovery.kubernetes.pods.targets

	rule {
		source_labels = ["__meta_kubernetes_namespace"]
		target_label  = "namespace"
	}

	rule {
		source_labels = ["__meta_kubernetes_pod_container_name"]
		regex         = "istio.*"
		action        = "drop"
	}
}

loki.source.kubernetes "pods" {
	targets    = discovery.relabel.pods.output
	forward_to = [loki.process.pods.receiver]
}

loki.process "pods" {
	forward_to = [loki.write.out.receiver]

	stage.match {
		selector = `{namespace="kube-system"} |= "noise"`
		action   = "drop"
	}

	stage.match {
		selector = `{namespace="ais"} |~ "^E\\b"`

		stage.static_labels {
			values = {level = "error"}
		}
	}
}

loki.write "out" {
	endpoint {
		url       = "http://user:write-secret@127.0.0.1:9/loki/api/v1/push"
		tenant_id = "t"
	}
	external_labels = {cluster = "c"}
}
"""

POD = """{"__meta_kubernetes_namespace": "%s", "__meta_kubernetes_pod_name": "p", "__address__": "10.0.0.1:80",
"__meta_kubernetes_pod_container_name": "%s", "__meta_kubernetes_pod_uid": "u"}"""


def explain(*arguments, stdin=None):
    done = subprocess.run([BINARY, "explain", *arguments], input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def components(answer):
    return [stop["component"] for stop in answer["stops"]]


def case_explain_configuration(directory):
    """Items through a configuration that is only read: every flag, the order, the places, the exit codes."""
    path = os.path.join(directory, "logs.alloy")
    with open(path, "w") as file:
        file.write(LOGS)
    code, out, err = explain(path, "--item", "labels=" + POD % ("ais", "ais-node"), "--line", "E broken", "--format", "json")
    check(code == 0, f"explain: {code} {err}")
    answer = json.loads(out)
    check(components(answer) == ["discovery.kubernetes.pods", "discovery.relabel.pods", "loki.source.kubernetes.pods",
                                 "loki.process.pods", "loki.write.out"], f"ways: {components(answer)}")
    check(answer["verdict"] == "delivered", out)
    rule = answer["stops"][1]["steps"][0]
    check(rule["line"] == 9 and rule["file"] == path, f"place of the rule: {rule}")
    check(rule["changes"] == [{"field": "label", "name": "namespace", "before": None, "after": "ais"}], f"{rule['changes']}")
    final = answer["stops"][-1]["results"][0]
    check(final["item"]["labels"].get("level") == "error" and final["item"]["labels"].get("cluster") == "c", f"{final}")
    check(final["destination"] == "Loki at http://127.0.0.1:9/loki/api/v1/push as tenant t", f"{final}")
    check("write-secret" not in out, "the secret is told")

    code, out, err = explain(path, "--item", "labels=" + POD % ("ais", "istio-proxy"))
    check(code == 3, f"a dropped target: {code} {err}")
    check(out.rstrip().splitlines()[-1].startswith("verdict: dropped - discovery.relabel.pods: rule 2: drop"), out)
    code, out, _ = explain(path, "--item", "log=some noise", "--labels", '{namespace="kube-system"}')
    check(code == 3 and "loki.process.pods: stage.match" in out.splitlines()[-1], f"a dropped line: {code} {out}")
    code, out, _ = explain(path, "--item", "log=some noise", "--labels", '{namespace="other"}', "--metadata", '{trace="1"}',
                           "--at", "loki.process.pods")
    check(code == 0 and out.startswith("1. loki.process.pods"), f"at a component: {code} {out}")
    code, out, _ = explain(path, "--item", "labels=-", stdin=(POD % ("x", "y")).encode())
    check(code == 0, f"from standard input: {code}")
    with open(os.path.join(directory, "labels.json"), "w") as file:
        file.write(POD % ("x", "istio-x"))
    code, out, _ = explain(path, "--item", f"labels=@{directory}/labels.json")
    check(code == 3, f"from a file: {code} {out}")
    # Nothing in the item moves the cursor of a terminal.
    code, out, _ = explain(path, "--item", "log=\x1b[31mred", "--labels", '{a="\\u001b[2J"}')
    check(code == 0 and "\x1b" not in out, f"control characters are printed: {out!r}")

    for arguments, reason in (
            (["--item", "log=x"], "give a configuration, or --url"),
            ([path, "--url", "http://127.0.0.1:1", "--item", "log=x"], "exclude each other"),
            ([path, "--item", "log"], "must be kind=value"), ([path, "--item", "thing=x"], "is none of labels, metric"),
            ([path, "--item", "metric=up"], "takes a metric in"), ([path, "--item", "log=x", "--format", "xml"], "text or json"),
            ([path, "--item", "log=x", "--at", "loki.write.none"], "there is no component"),
            ([path, "--item", "log=x", "--username", "u"], "go with --url"),
            ([path, "--item", "log=x", "--labels", "{a"], "labels: "), ([path, "--item", "file=x"], "not an absolute path"),
            ([path, "--item", f"labels=@{directory}/none"], "none"), ([f"{directory}/none", "--item", "log=x"], "none"),
            (["--url", "http://127.0.0.1:1", "--item", "log=x"], "Is invar running there?")):
        code, out, err = explain(*arguments)
        check(code == 1 and reason in err and out == "", f"{arguments}: {code} {err}")
    with open(path, "a") as file:
        file.write('\nloki.wrote "x" { }\n')
    code, _, err = explain(path, "--item", "log=x")
    check(code == 1 and "loki.wrote" in err, f"an error of the configuration: {code} {err}")
    code, out, _ = explain("--help")
    flags = ("--item", "--labels", "--metadata", "--line", "--at", "--url", "--username", "--password-file", "--ca-file",
             "--format", "--stability.level")
    check(code == 0 and all(flag in out for flag in flags) and "3 when the item is" in out.replace("\n", " "), out)


def case_explain_running(directory):
    """The same question to a running program, with and without credentials, and nothing is counted."""
    log = os.path.join(directory, "app.log")
    with open(log, "w") as file:
        file.write("first\n")
    configuration = f"""
        http {{
            auth {{
                basic {{
                    username = "u"
                    password = "explain-password"
                }}
            }}
        }}
        local.file_match "f" {{ path_targets = [{{"__path__" = "{directory}/*.log", "job" = "f"}}] }}
        loki.source.file "f" {{
            targets    = local.file_match.f.targets
            forward_to = [loki.process.p.receiver]
        }}
        loki.process "p" {{
            stage.drop {{ expression = "unwanted" }}
            forward_to = [loki.echo.e.receiver]
        }}
        loki.echo "e" {{ }}
        """
    password = os.path.join(directory, "password")
    with open(password, "w") as file:
        file.write("explain-password")
    with Invar(directory, configuration, wait=False) as invar:
        url = f"127.0.0.1:{invar.port}"
        flags = ["--url", url, "--username", "u", "--password-file", password]

        def answers():
            return explain(*flags, "--item", f"file={log}", "--line", "x")[0] == 0

        wait_until(answers, 60, "an answer")
        code, out, err = explain(*flags, "--item", f"file={log}", "--line", "an unwanted line", "--format", "json")
        check(code == 3, f"a dropped line: {code} {err}")
        check(components(json.loads(out)) == ["local.file_match.f", "loki.source.file.f", "loki.process.p"], out)
        code, out, err = explain("--url", url, "--item", f"file={log}")
        check(code == 1 and "give --username and --password-file" in err, f"without credentials: {code} {err}")
        code, out, err = explain(*flags, "--item", "log=x", "--at", "nobody")
        check(code == 1 and 'there is no component "nobody"' in err, f"a wrong component: {code} {err}")


def case_explain_pod_and_trace(directory):
    """A running program knows the pods its discovery found, and of traces what it holds and decided."""
    port = free_port()
    with kubernetes.Api("t") as api:
        api.put("pods", kubernetes.pod("ns", "web-0", "node-a", "127.0.0.1", {"app": "web"}, (("main", (("http", 9),)),)))
        configuration = f"""
            discovery.kubernetes "pods" {{
                role            = "pod"
                kubeconfig_file = "{kubeconfig(directory, api, 't')}"
            }}
            discovery.relabel "pods" {{
                targets = discovery.kubernetes.pods.targets
                rule {{
                    source_labels = ["__meta_kubernetes_pod_label_app"]
                    target_label  = "app"
                }}
            }}
            prometheus.scrape "pods" {{
                targets    = discovery.relabel.pods.output
                forward_to = [prometheus.echo.e.receiver]
            }}
            prometheus.echo "e" {{ }}

            otelcol.receiver.otlp "in" {{
                http {{ endpoint = "127.0.0.1:{port}" }}
                output {{ traces = [otelcol.processor.tail_sampling.t.input] }}
            }}
            otelcol.processor.tail_sampling "t" {{
                decision_wait = "1s"
                policy {{
                    name = "failed"
                    type = "status_code"
                    status_code {{ status_codes = ["ERROR"] }}
                }}
                output {{ traces = [otelcol.exporter.debug.d.input] }}
            }}
            otelcol.exporter.debug "d" {{ }}
            """
        with Invar(directory, configuration, ["--stability.level=experimental"]) as invar:
            url = f"127.0.0.1:{invar.port}"
            wait_until(lambda: explain("--url", url, "--item", "pod=ns/web-0")[0] == 0, 60, "the pod to be known")
            code, out, err = explain("--url", url, "--item", "pod=ns/web-0", "--format", "json")
            answer = json.loads(out)
            check(components(answer) == ["discovery.kubernetes.pods", "discovery.relabel.pods", "prometheus.scrape.pods",
                                         "prometheus.echo.e"], f"ways: {components(answer)}")
            final = answer["stops"][-1]["results"][0]["item"]["labels"]
            check(final["app"] == "web" and final["instance"] == "127.0.0.1:9", f"{final}")
            # What is scraped is followed from what was found, so that every rule is told.
            del final["__name__"]
            for flags in ([], ["--at", "prometheus.scrape.pods"]):
                code, out, err = explain("--url", url, "--item", "labels=" + json.dumps(final), "--format", "json", *flags)
                answer = json.loads(out)
                check(components(answer)[:2] == ["discovery.kubernetes.pods", "discovery.relabel.pods"],
                      f"a target as it is scraped: {components(answer)}")
                check(answer["stops"][-1]["results"][0]["item"]["labels"]["instance"] == "127.0.0.1:9", out)
            code, out, _ = explain("--url", url, "--item", "pod=ns/other")
            check(code == 3 and "is of this pod" in out, f"a pod that is not there: {code} {out}")

            def span(digit, status):
                return {"traceId": digit * 32, "spanId": "0" * 15 + "1", "name": "s", "status": {"code": status}}

            body = {"resourceSpans": [{"scopeSpans": [{"spans": [span("a", 2), span("b", 0)]}]}]}
            status, answer = request(port, "/v1/traces", "POST", json.dumps(body).encode(), {"Content-Type": "application/json"})
            check(status == 200, f"spans are not taken: {status} {answer}")
            wait_until(lambda: "decided to be kept" in explain("--url", url, "--item", "trace=" + "A" * 32)[1], 60, "a decision")
            code, out, _ = explain("--url", url, "--item", "trace=" + "b" * 32)
            check(code == 3 and "decided to be dropped" in out, f"a dropped trace: {code} {out}")
            code, _, err = explain("--url", url, "--item", "trace=" + "c" * 32)
            check(code == 1 and "no component knows this trace" in err, f"an unknown trace: {code} {err}")
            path = os.path.join(directory, "spans.json")
            with open(path, "w") as file:
                json.dump({"resourceSpans": [{"scopeSpans": [{"spans": [span("d", 2)]}]}]}, file)
            code, out, err = explain("--url", url, "--item", f"otlp=@{path}")
            check(code == 0 and "keeps the trace" in out and "otelcol.exporter.debug.d" in out, f"spans: {code} {out} {err}")

def case_explain_page(directory):
    """The page: a question by its address and by the form, diffs, hostile text, both widths, errors that say what to do."""
    with Running(directory) as running:
        before = running.invar.ledger()["loki.process.p"]["in"]
        address = "explain?item=log&value=" + "an%20unwanted%20line&at=loki.process.p"
        for width in (1280, 390):
            page = running.open(address, width=width, height=900)
            page.wait("document.querySelectorAll('.stop').length === 1")
            text = page.text()
            for wanted in ("Dropped", "loki.process.p", "stage.drop", "drop_stage"):
                check(wanted in text, f"{wanted} is not shown: {text[:800]}")
            running.finish(page, f"explain-{width}")
        page = running.open("explain")
        page.wait("document.querySelector('form.explain')")
        page.evaluate("document.querySelector('form.explain button').click()")
        check("Nothing is given" in page.wait("document.querySelector('.explained .note')?.innerText"), "no word on an empty form")
        hostile = json.dumps(json.dumps({"__address__": "h:1", "hostile": PAYLOAD}))
        page.evaluate("(() => { document.getElementById('explain-value').value = " + hostile + ";"
                      "document.getElementById('explain-value').dispatchEvent(new KeyboardEvent('keydown',"
                      "{key: 'Enter', ctrlKey: true, bubbles: true, cancelable: true})) })()")
        page.wait("document.querySelectorAll('.stop').length >= 3")
        check("prometheus.remote_write.w" in page.text() and "onerror" in page.text(), page.text()[:800])
        check("console-secret" not in page.evaluate("document.documentElement.outerHTML"), "the secret is shown")
        check(page.evaluate("document.querySelectorAll('.diff .plus').length") > 0, "no difference is shown")
        check("item=labels" in page.evaluate("location.search"), "the address does not keep the question")
        running.finish(page, "explain-target")
        page.evaluate("(() => { document.getElementById('explain-value').value = '{broken';"
                      "document.querySelector('form.explain').requestSubmit() })()")
        problem = page.wait("document.querySelector('.explained .note h2')?.textContent.includes('answered')"
                            " && document.querySelector('.explained .note').innerText")
        check("cannot be answered" in problem and "labels:" in problem, problem)
        status, body = request(running.invar.port, "/api/v0/console/explain?item=metric&value=")
        check(status == 400 and b"expected" in (body if isinstance(body, bytes) else body.encode()), f"{status} {body}")
        check(running.invar.ledger()["loki.process.p"]["in"] == before, "explaining was counted")
