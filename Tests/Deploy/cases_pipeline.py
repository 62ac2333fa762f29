"""Each environment's configuration, unmodified, in a cluster of one node: what arrives where, and what does not."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

from binary import Skip, binary
from manifests import equal, expect

CLUSTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cluster.py")
ENVIRONMENTS = ("local", "remote", "prod")
JOBS = ["aistore", "integrations/cadvisor", "kube-state-metrics", "node-exporter"]
LOCAL_METRICS = "9090/api/v1/otlp/v1/metrics"
REMOTE_METRICS = "8443/m/v1/metrics"
REMOTE_LOGS = "8443/l/v1/logs"
MUTUAL_METRICS = "8443/v1/metrics"
MUTUAL_LOGS = "8443/v1/logs"


def namespaces_are_allowed():
    done = subprocess.run(["unshare", "-m", "-n", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def run(environment, reports):
    directory = tempfile.mkdtemp(prefix="invar-cluster-")
    try:
        done = subprocess.run(
            ["unshare", "-m", "-n", sys.executable, CLUSTER, environment, os.path.abspath(binary()), directory],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
        if done.returncode == 0:
            reports[environment] = json.loads(done.stdout.splitlines()[-1])
        else:
            reports[environment] = {"failure": done.stderr[-1500:]}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def check_metrics(report, where, cluster):
    points = report["points"][where]
    expect(set(JOBS) <= set(points["jobs"]), f"{where} has the jobs {points['jobs']}")
    equal(points["clusters"], [cluster], f"cluster of the points at {where}")
    for name in ("up", "e2e_value", "node_cpu_seconds_total", "container_cpu_usage_seconds_total"):
        expect(name in points["names"], f"{where} lacks {name}")


def check_remote_logs(report):
    seen = {}
    for resource, line, severity, attributes in report["records"][REMOTE_LOGS]:
        seen.setdefault(line, []).append((resource, severity, attributes))
    equal(sorted(seen), sorted([f"I line {n}" for n in range(5)] + [f"dns {n}" for n in range(5)]), "lines")
    expect(all(len(copies) == 1 for copies in seen.values()), "a line arrived twice")
    resource, severity, _ = seen["I line 0"][0]
    equal(severity, "INFO", "severity")
    for name, value in (("k8s.namespace.name", "ais"), ("k8s.pod.name", "target-0"), ("service.name", "ais"),
                        ("k8s.container.name", "ais-node"), ("host.name", "node-a"), ("cluster", "cluster-1")):
        equal(resource.get(name), value, name)
    equal(seen["dns 3"][0][0].get("k8s.pod.name"), "coredns-0", "pod of another stream")


def case_pipeline_in_a_cluster():
    if not namespaces_are_allowed():
        raise Skip("namespaces of its own need root")
    binary()
    reports = {}
    threads = [threading.Thread(target=run, args=(environment, reports)) for environment in ENVIRONMENTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for environment in ENVIRONMENTS:
        report = reports.get(environment, {"failure": "it did not end"})
        expect("failure" not in report, f"{environment}: {report.get('failure')}")
        for what in ("metrics", "logs", "running"):
            expect(report[what], f"{environment}: {what} are missing\n{report['log']}")
        equal(report["status"], 0, f"exit status of {environment}")
    local, remote, prod = (reports[environment] for environment in ENVIRONMENTS)

    check_metrics(local, LOCAL_METRICS, "local")
    equal((list(local["points"]), local["records"], local["tokens"]), ([LOCAL_METRICS], {}, {}), "local writes locally")

    check_metrics(remote, REMOTE_METRICS, "cluster-1")
    check_remote_logs(remote)
    equal((list(remote["points"]), remote["pushes"]), ([REMOTE_METRICS], []), "remote writes remotely")
    expect(remote["rotated"], f"the new Secret is not used\n{remote['log']}")
    equal(set(remote["tokens"]), {"Bearer first", "Bearer second"}, "tokens")
    for secret in ("secret-first", "secret-second"):
        header = "Basic " + base64.b64encode(f"client:{secret}".encode()).decode()
        expect(header in remote["credentials"], f"{secret} was not shown to the token server")
        expect(secret not in remote["log"], f"{secret} is in the log")

    check_metrics(prod, LOCAL_METRICS, "local")
    check_metrics(prod, REMOTE_METRICS, "cluster-1")
    check_remote_logs(prod)
    equal((sorted(prod["points"]), prod["pushes"]), ([REMOTE_METRICS, LOCAL_METRICS], []), "prod writes to both")


def case_mutual_tls_in_a_cluster():
    if not namespaces_are_allowed():
        raise Skip("namespaces of its own need root")
    binary()
    reports = {}
    run("mtls", reports)
    report = reports["mtls"]
    expect("failure" not in report, report.get("failure"))
    for what in ("metrics", "logs", "running"):
        expect(report[what], f"{what} are missing\n{report['log']}")
    equal(report["status"], 0, "exit status")
    check_metrics({"points": report["points"]}, MUTUAL_METRICS, "cluster-1")
    expect(report["accepted"], "the server refused the collector's first certificate")
    expect(report["refused"], "a client without a certificate was answered")
    expect(report["shut_out"], "the collector never tried while the server had another authority")
    expect(report["rotated"], f"the new certificate is not used\n{report['log']}")
    equal(report["clients"], ["collector-first", "collector-second"], "clients by their certificates")
    lines = sorted(line for _, line, *_ in report["records"][MUTUAL_LOGS])
    wanted = [f"{text} {number}" for text in ("I line", "dns", "I late") for number in range(5)]
    equal(lines, sorted(wanted), "lines, each once")
    equal(sorted(report["points"]), [MUTUAL_METRICS], "where metrics went")
    expect("PRIVATE KEY" not in report["log"], "a key is in the log")
