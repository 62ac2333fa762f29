"""`invar explain` on the configurations of the environments: a pod's metrics and logs, and which destinations get them."""

import json
import os
import subprocess
import tempfile

from binary import binary
from cases_configuration import configurations
from manifests import equal, expect

NODE = "node-a"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "target-0",
        "namespace": "ais",
        "uid": "u",
        "labels": {"app": "ais", "component": "target"},
        "ownerReferences": [{"kind": "StatefulSet", "name": "target", "uid": "o", "controller": True}],
    },
    "spec": {
        "nodeName": NODE,
        "containers": [{"name": "ais-node", "ports": [{"name": "http", "containerPort": 51081, "protocol": "TCP"}]}],
    },
    "status": {"phase": "Running", "podIP": "10.1.2.3", "hostIP": "10.0.0.1"},
}


def explain(text, pod, *flags):
    with tempfile.TemporaryDirectory() as directory:
        for name, content in (("config.alloy", text), ("pod.json", json.dumps(pod))):
            with open(os.path.join(directory, name), "w") as file:
                file.write(content)
        done = subprocess.run(
            [binary(), "explain", f"{directory}/config.alloy", "--item", f"pod=@{directory}/pod.json", "--format", "json", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600, env={**os.environ, "HOSTNAME": NODE})
        expect(done.returncode in (0, 3), f"explain exits with {done.returncode}: {done.stderr[:500]}")
        return json.loads(done.stdout)


def ends(answer):
    """The components at which something is delivered, with the item."""
    return {
        stop["component"]: result["item"]
        for stop in answer["stops"]
        for result in stop["results"]
        if result["verdict"] == "delivered"
    }


def case_explain_pod_of_every_configuration():
    for name, text in configurations():
        answer = explain(text, POD, "--line", "E something broke")
        delivered = ends(answer)
        wanted = {
            f"{kind}.{label}" for kind in ("otelcol.exporter.otlphttp", "loki.write")
            for label in ("local_metrics", "remote_metrics", "local_logs", "remote_logs", "local")
            if f'{kind} "{label}" {{' in text}
        equal(set(delivered), wanted, f"{name}: where metrics and logs of the pod go")
        for component, item in delivered.items():
            labels = item["labels"]
            if component.endswith("_logs"):
                equal(labels.get("body"), "E something broke", f"{name}: body at {component}")
                equal(labels.get("severityText"), "ERROR", f"{name}: severity at {component}")
                equal(labels.get("resource.attributes.k8s.pod.name"), "target-0", f"{name}: pod at {component}")
            elif component.endswith("_metrics"):
                equal(labels.get("attributes.pod"), "target-0", f"{name}: pod at {component}")
        unexplained = [stop["component"] for stop in answer["stops"] if not stop["explained"]]
        equal(unexplained, [], f"{name}: components that do not tell what they do")


def case_explain_pod_of_another_node():
    name, text = next(iter(configurations()))
    pod = json.loads(json.dumps(POD))
    pod["spec"]["nodeName"] = "node-b"
    answer = explain(text, pod)
    equal(answer["verdict"], "dropped", f"{name}: a pod of another node")
    expect(all("spec.nodeName=node-a" in stop["steps"][0]["detail"] for stop in answer["stops"]
               if stop["component"] == "discovery.kubernetes.pods"), f"{name}: {answer['stops'][0]['steps']}")
