"""Metrics from targets to receivers."""

import json
import os
import random
import shutil
import subprocess
import threading
import time
import zlib

from cases_program import check_counting
from exposition import Targets, constant, counting
from harness import LONG, Invar, Program, Prometheus, Skip, check, free_port, request, wait_until
from sinks import RemoteWriteSink, TokenServer


def scrape_to(url, targets, interval="1s", extra="", rules=""):
    return f"""
        prometheus.scrape "s" {{
            targets         = {targets}
            scrape_interval = "{interval}"
            scrape_timeout  = "900ms"
            forward_to      = [prometheus.relabel.r.receiver]
            {extra}
        }}
        prometheus.relabel "r" {{
            forward_to = [prometheus.remote_write.w.receiver]
            {rules}
        }}
        prometheus.remote_write "w" {{
            endpoint {{
                url = "{url}"
                queue_config {{ batch_send_deadline = "1s" }}
            }}
        }}
        """


def case_every_sample_arrives_in_prometheus(directory):
    """100 targets x 1,000 series each second: every value served is in Prometheus, once."""
    seconds = 600 if LONG else 20
    names = [f"t{index}" for index in range(100)]
    with Targets({name: counting(1000) for name in names}) as targets, Prometheus(directory) as prometheus:
        with Invar(directory, scrape_to(prometheus.url, targets.alloy())) as invar:
            wait_until(lambda: all(targets.served[name] >= seconds for name in names), seconds * 3 + 60, "the scrapes")
            peak = invar.memory("VmHWM")
            cpu = invar.cpu_seconds()
            wanted = dict(targets.served)
            # The stop may cut a scrape in work; whoever asks for the next one is done with the one before.
            wait_until(lambda: all(targets.started[name] > wanted[name] for name in names), 60, "the next scrapes")
            check(invar.stop() == 0, "does not stop")
        samples = sum(wanted.values()) * 1000
        print(f"# {samples} samples, {cpu / samples * 1e6:.2f} s CPU per million, {peak >> 20} MiB at most")
        for name in names:
            result = prometheus.query(f'e2e_value{{target="{name}"}}[{seconds * 3 + 300}s]')
            check(len(result) == 1000, f"{name}: {len(result)} series")
            for series in result:
                got = [int(value) for _, value in series["values"]]
                check(
                    got == list(range(1, len(got) + 1)) and len(got) >= wanted[name],
                    f"{series['metric']}: served {wanted[name]}, stored {got[:5]}...{got[-5:]}")
        up = prometheus.query(f"sum(sum_over_time(up[{seconds * 3 + 300}s]))")
        check(float(up[0]["value"][1]) >= sum(wanted.values()), f"up: {up}")


def random_rule(generator):
    source = generator.choice(["kind", "zone", "series", "__name__", "instance", "missing"])
    action = generator.choice(["replace", "keep", "drop", "labelmap", "labeldrop", "hashmod", "lowercase", "uppercase"])
    if action == "replace":
        return {"source_labels": [source, "kind"], "separator": generator.choice([";", "-"]),
                "regex": generator.choice(["(.*)", "(.+)[;-](.*)", "[a-m].*"]), "target_label": "made",
                "replacement": generator.choice(["$1", "x_${1}_$2", "fixed", ""]), "action": action}
    if action in ("keep", "drop"):
        regex = {"keep": "[^9]*", "drop": ".*7"}[action]
        return {"source_labels": ["series"], "regex": regex, "action": action}
    if action == "labelmap":
        return {"regex": "(k.*|zo.*)", "replacement": "mapped_$1", "action": action}
    if action == "labeldrop":
        return {"regex": generator.choice(["zone", "mapped_.*", "nothing"]), "action": action}
    if action == "hashmod":
        return {"source_labels": [source, "series"], "modulus": generator.randint(2, 9), "target_label": "shard",
                "action": action}
    return {"source_labels": [source], "target_label": "cased", "action": action}


def as_yaml(rules):
    return json.dumps(rules)


def as_alloy(rules):
    text = ""
    for rule in rules:
        text += "rule {\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items()) + "}\n"
    return text


def case_same_series_as_the_prometheus_agent(directory):
    """Random relabel rules: the agent and invar deliver the same series and values."""
    binary = shutil.which("prometheus")
    if not binary:
        raise Skip("prometheus is not installed")
    seed = int(os.environ.get("INVAR_SEED", random.randrange(1 << 30)))
    generator = random.Random(seed)
    lines = ["# TYPE a_total counter", "# TYPE g gauge", "# HELP g Some \\\\ gauge\\n here",
             'strange{a="quote \\" slash \\\\ newline \\n",b=""} NaN', "infinite +Inf", "tiny 1.5e-300"]
    for index in range(60):
        lines.append(f'a_total{{kind="K{index % 3}",zone="eu-{index % 5}",series="{index}"}} {index * 1.5}')
        lines.append(f'g{{zone="Us",series="{index}",instance="own",job="mine"}} -{index}e3')
    text = "\n".join(lines) + "\n"
    for round_number in range(4 if LONG else 2):
        rules = [random_rule(generator) for _ in range(generator.randint(1, 5))]
        honor = generator.choice([True, False])
        where = os.path.join(directory, str(round_number))
        os.makedirs(where)
        with Targets({"one": constant(text)}) as targets, RemoteWriteSink() as ours, RemoteWriteSink() as theirs:
            configuration = f"""
scrape_configs:
- job_name: j
  scrape_interval: 1s
  honor_labels: {str(honor).lower()}
  metrics_path: /one
  static_configs: [{{targets: ["127.0.0.1:{targets.port}"], labels: {{target: one}}}}]
remote_write:
- url: {theirs.url}
  queue_config: {{batch_send_deadline: 1s}}
  write_relabel_configs: {as_yaml(rules)}
"""
            path = os.path.join(where, "agent.yml")
            with open(path, "w") as file:
                file.write(configuration)
            agent = [binary, "--enable-feature=agent", f"--config.file={path}", f"--storage.agent.path={where}/agent",
                     f"--web.listen-address=127.0.0.1:{free_port()}"]
            alloy = scrape_to(
                ours.url, targets.alloy(), rules=as_alloy(rules),
                extra=f'job_name = "j"\nhonor_labels = {str(honor).lower()}')
            with Program(agent, os.path.join(where, "agent.log")), Invar(where, alloy) as invar:
                def both():
                    return all(any("up," in f"{labels}," or "=up" in labels or "a_total" in labels
                                   for labels, _, _ in sink.items()) for sink in (ours, theirs)) or None

                wait_until(lambda: ours.requests >= 3 and theirs.requests >= 3, 60, "both to send")
                invar.stop()

            def picture(sink):
                seen = {}
                for labels, _, value in sink.items():
                    if "scrape_" in labels.split("__name__=")[-1][:8] or "__name__=up" in labels:
                        value = 0
                    if value == value or "strange" in labels:
                        # Protobuf in Go leaves out a negative zero: it counts as zero.
                        seen[labels] = repr(value + 0.0)
                return seen

            mine, other = picture(ours), picture(theirs)
            missing = sorted(set(other) - set(mine))[:3]
            extra = sorted(set(mine) - set(other))[:3]
            check(mine.keys() == other.keys(),
                  f"seed {seed} rules {rules}: only the agent has {missing}, only invar has {extra}")
            different = [(labels, mine[labels], other[labels]) for labels in mine if mine[labels] != other[labels]]
            check(not different, f"seed {seed}: values differ: {different[:3]}")


def case_hostile_targets(directory):
    """Malformed text, an endless header, a gzip bomb, an endless body: up is 0, memory stays, the rest goes on."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    bomb = [compressor.compress(zeros) for _ in range(2048)] + [compressor.flush()]

    def endless(piece):
        def body(number):
            return (200, b"Content-Type: text/plain\r\n", (piece for _ in range(100_000)))
        return body

    bodies = {
        "good": counting(10),
        "malformed": constant('ok 1\nbroken{a="b" 2\n'),
        "header": lambda number: (200, b"X-Long: " + b"a" * (8 << 20) + b"\r\n", []),
        "bomb": lambda number: (200, b"Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", iter(bomb)),
        "line": endless(b"a" * 65536),
        "body": endless(b'x{a="b"} 1\n' * 6000),
    }
    with Targets(bodies) as targets, RemoteWriteSink() as sink:
        with Invar(directory, scrape_to(sink.url, targets.alloy(), extra='body_size_limit = "64MiB"')) as invar:
            wait_until(lambda: targets.served["good"] >= 8, 60, "eight good scrapes")
            peak = invar.memory("VmHWM")
            check(peak < 400 << 20, f"memory reached {peak >> 20} MiB")
            invar.stop()
        ups = {}
        for labels, _, value in sink.items():
            if "__name__=up" in labels and value == value:
                target = labels.split("target=")[1].split(",")[0]
                ups.setdefault(target, set()).add(value)
            check("__name__=ok" not in labels, "part of a malformed exposition was stored")
        check(ups.get("good") == {1.0}, f"the good target: {ups.get('good')}")
        for name in bodies:
            if name != "good":
                check(ups.get(name) == {0.0}, f"up of {name}: {ups.get(name)}")


def case_backend_away(directory):
    """The receiver refuses for a while, with every retryable answer: nothing is lost."""
    away = {"status": None}
    with Targets({"t": counting(100), "u": counting(100)}) as targets:
        with RemoteWriteSink(answer=lambda number: away["status"] or 204) as sink:
            with Invar(directory, scrape_to(sink.url, targets.alloy())) as invar:
                wait_until(lambda: targets.served["t"] >= 2, 30, "the first scrapes")
                for status in (500, 503, 429):
                    away["status"] = status
                    seen = targets.served["t"]
                    wait_until(lambda: targets.served["t"] >= seen + 4, 30, "scrapes while it is away")
                away["status"] = None
                wanted = dict(targets.served)
                wait_until(lambda: invar.ledger()["prometheus.remote_write.w"]["out"] >= sum(wanted.values()) * 100,
                           60, "the backlog to be sent")
                check(invar.stop() == 0, "does not stop")
            check_counting(sink.items(), wanted, series=100)


def case_killed_and_restarted_metrics(directory):
    """kill -9 with a backlog: the durable queue sends it after the restart."""
    away = {"status": 503}
    with Targets({"t": counting(50)}) as targets, RemoteWriteSink(answer=lambda number: away["status"] or 204) as sink:
        configuration = scrape_to(sink.url, targets.alloy())
        with Invar(directory, configuration) as invar:
            wait_until(lambda: targets.served["t"] >= 6, 30, "six scrapes")
            served = targets.served["t"]
            wait_until(lambda: targets.served["t"] >= served + 2, 30, "two more, so that the first are on disk")
            invar.kill()
        away["status"] = None
        with Invar(directory, configuration) as invar:
            wait_until(lambda: len({value for _, _, value in sink.items()}) > served, 60, "the backlog")
            invar.stop()
        values = {int(value) for labels, _, value in sink.items() if "e2e_value" in labels and value == value}
        lost = [number for number in range(1, served) if number not in values]
        check(not lost, f"scrapes {lost} of {served} were lost")


def case_cloud_identities(directory):
    """A service account of Google Cloud and a managed identity of Azure each fetch a token and write with it."""
    key = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA"], capture_output=True, check=True, timeout=60).stdout.decode()
    with Targets({"t": counting(10)}) as targets, TokenServer() as tokens, RemoteWriteSink() as sink:
        credentials = os.path.join(directory, "google.json")
        with open(credentials, "w") as file:
            json.dump({"type": "service_account", "client_email": "writer@example", "private_key_id": "k",
                       "private_key": key, "token_uri": tokens.url + "/google"}, file)
        configuration = scrape_to(sink.url, targets.alloy()) + f"""
prometheus.scrape "clouds" {{
  targets         = {targets.alloy()}
  forward_to      = [prometheus.remote_write.clouds.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
}}

prometheus.remote_write "clouds" {{
  endpoint {{
    name = "google"
    url  = "{sink.url}"
    google_iam {{
      credentials_file = "{credentials}"
    }}
  }}
  endpoint {{
    name = "azure"
    url  = "{sink.url}"
    azuread {{
      managed_identity {{
        client_id = "00000000-0000-0000-0000-000000000001"
      }}
    }}
  }}
}}
"""
        with Invar(directory, configuration, environment={"AZURE_POD_IDENTITY_AUTHORITY_HOST": tokens.url}) as invar:
            wanted = {"Bearer for-google", "Bearer for-metadata-identity-oauth2-token"}
            wait_until(lambda: wanted <= sink.authorizations, 60, "writes with both tokens")
            check(invar.stop() == 0, "does not stop")
            check("BEGIN" not in invar.log_text() and "Bearer" not in invar.log_text(), "a secret is in the log")
        paths = [path for path, _, _ in tokens.asked]
        check(sorted(paths) == ["/google", "/metadata/identity/oauth2/token"], f"tokens were asked for by {paths}")
