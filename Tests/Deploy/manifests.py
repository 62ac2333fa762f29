"""Checks of rendered objects, beyond their being YAML."""

import re

import kubernetes_validate

API = {
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "ConfigMap": "v1",
    "DaemonSet": "apps/v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Ingress": "networking.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "Service": "v1",
    "ServiceAccount": "v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "StatefulSet": "apps/v1",
    "VerticalPodAutoscaler": "autoscaling.k8s.io/v1",
}
# No part of Kubernetes itself, so that its schemas do not know them.
FOREIGN = {"ServiceMonitor", "VerticalPodAutoscaler"}
# Kubernetes releases whose schemas every object must satisfy, the oldest and the newest there are schemas for.
RELEASES = ("1.25", "1.37")
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}
WORKLOADS = {"DaemonSet", "Deployment", "StatefulSet"}
COMPONENTS = {"config", "networking", "rbac", "availability", "metrics"}
NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
LABEL = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")


class Failure(Exception):
    """Something is not as it must be; the message says what."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def equal(actual, expected, what):
    expect(actual == expected, f"{what} is {actual!r}, not {expected!r}")


def one(objects, kind, name=None):
    found = [item for item in objects if item["kind"] == kind and name in (None, item["metadata"]["name"])]
    expect(len(found) == 1, f"{len(found)} objects of kind {kind} instead of one")
    return found[0]


def none(objects, kind):
    expect(not any(item["kind"] == kind for item in objects), f"there is a {kind}")


def workload(objects):
    (found,) = [item for item in objects if item["kind"] in WORKLOADS]
    return found


def pod(objects):
    return workload(objects)["spec"]["template"]["spec"]


def container(objects, name="alloy"):
    return next(item for item in pod(objects)["containers"] if item["name"] == name)


def check(objects):
    """Every object on its own, then what they say of each other."""
    seen = set()
    for item in objects:
        kind = item["kind"]
        expect(kind in API, f"unknown kind {kind}")
        equal(item["apiVersion"], API[kind], f"apiVersion of {kind}")
        check_schema(item)
        metadata = item["metadata"]
        expect(NAME.match(metadata["name"]), f"{kind}: bad name {metadata['name']!r}")
        equal("namespace" in metadata, kind not in CLUSTER_WIDE, f"{kind} has a namespace")
        key = (kind, metadata.get("namespace"), metadata["name"])
        expect(key not in seen, f"{key} is there twice")
        seen.add(key)
        for label, value in (metadata.get("labels") or {}).items():
            expect(isinstance(value, str) and LABEL.match(value), f"{kind}: label {label} is {value!r}")
        if kind in WORKLOADS:
            check_workload(item)
        if kind in ("Role", "ClusterRole"):
            check_rules(item)
    check_references(objects)


def check_schema(item):
    if item["kind"] in FOREIGN:
        return
    for release in RELEASES:
        try:
            kubernetes_validate.validate(item, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            raise Failure(f"{item['kind']}, Kubernetes {release}: {place}: {error.message[:300]}") from error


def check_workload(item):
    spec = item["spec"]
    template = spec["template"]
    selector = spec["selector"]["matchLabels"]
    expect(selector, "the selector is empty")
    labels = template["metadata"]["labels"]
    expect(selector.items() <= labels.items(), "the selector does not choose its own pods")
    expect(not any(label.endswith("/version") for label in selector), "the selector changes with the version")
    for label, value in labels.items():
        expect(isinstance(value, str) and LABEL.match(value), f"pod label {label} is {value!r}")
    for annotation, value in (template["metadata"].get("annotations") or {}).items():
        expect(isinstance(value, str), f"annotation {annotation} is {value!r}")

    volumes = [volume["name"] for volume in template["spec"]["volumes"]]
    equal(len(set(volumes)), len(volumes), "number of distinct volumes")
    claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
    used = set()
    for entry in template["spec"]["containers"] + template["spec"].get("initContainers", []):
        expect(entry.get("image"), f"container {entry['name']} has no image")
        mounts = entry.get("volumeMounts", [])
        paths = [mount["mountPath"] for mount in mounts]
        equal(len(set(paths)), len(paths), f"number of distinct mount paths of {entry['name']}")
        for mount in mounts:
            expect(mount["name"] in volumes + claims, f"{entry['name']} mounts {mount['name']}, which is no volume")
            expect(mount["mountPath"].startswith("/"), f"{mount['mountPath']} is not absolute")
            used.add(mount["name"])
        ports = [port["name"] for port in entry.get("ports", [])]
        equal(len(set(ports)), len(ports), f"number of distinct ports of {entry['name']}")
        for port in ports:
            expect(len(port) <= 15, f"port name {port} is longer than 15")
        for variable in entry.get("env", []):
            expect(
                ("value" in variable) != ("valueFrom" in variable), f"variable {variable['name']} has no one value"
            )
            expect(isinstance(variable.get("value", ""), str), f"variable {variable['name']} is no text")
        expect(all(isinstance(argument, str) for argument in entry.get("args", [])), "an argument is no text")
    equal(set(volumes) - used, set(), "volumes nobody mounts")
    for volume in template["spec"]["volumes"]:
        equal(len(volume), 2, f"number of fields of volume {volume['name']}")


def check_rules(item):
    for rule in item["rules"]:
        verbs = set(rule["verbs"])
        expect(verbs and verbs <= {"get", "list", "watch"}, f"a rule allows {sorted(verbs)}")
        if "nonResourceURLs" in rule:
            equal(verbs, {"get"}, "verbs of a non-resource rule")
            equal(item["kind"], "ClusterRole", "kind of a role with non-resource rules")
        else:
            expect(rule["apiGroups"] and rule["resources"], "a rule names nothing")
            expect("*" not in rule["apiGroups"] + rule["resources"], "a rule has a wildcard")
            expect("nodes/proxy" not in rule["resources"], "a rule gives nodes/proxy")


def check_references(objects):
    names = {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects}
    workloads = [item for item in objects if item["kind"] in WORKLOADS]
    for item in objects:
        namespace = item["metadata"].get("namespace")
        if item["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            role = item["roleRef"]
            scope = None if role["kind"] == "ClusterRole" else namespace
            expect((role["kind"], scope, role["name"]) in names, f"{item['kind']} refers to no {role['kind']}")
            for subject in item["subjects"]:
                key = (subject["kind"], subject["namespace"], subject["name"])
                expect(key in names, f"{item['kind']} refers to a missing {subject['kind']}")
        if item["kind"] == "Service":
            check_service(item, workloads)
        target = item.get("spec", {}).get("scaleTargetRef") or item.get("spec", {}).get("targetRef")
        if target:
            expect((target["kind"], namespace, target["name"]) in names, f"{item['kind']} scales nothing")
        if item["kind"] == "ServiceMonitor":
            port = item["spec"]["endpoints"][0]["port"]
            expect(
                any(
                    port in [entry["name"] for entry in service["spec"]["ports"]]
                    for service in objects
                    if service["kind"] == "Service"
                ),
                "the monitor's port is on no service",
            )
        if item["kind"] == "PodDisruptionBudget":
            equal(len({"minAvailable", "maxUnavailable"} & set(item["spec"])), 1, "bounds of the budget")
    for item in workloads:
        spec = item["spec"]["template"]["spec"]
        if spec["serviceAccountName"] != "default":
            key = ("ServiceAccount", item["metadata"]["namespace"], spec["serviceAccountName"])
            expect(key in names, "the pods' service account is missing")


def check_service(item, workloads):
    selector = item["spec"]["selector"]
    chosen = [
        entry for entry in workloads if selector.items() <= entry["spec"]["template"]["metadata"]["labels"].items()
    ]
    expect(chosen, f"service {item['metadata']['name']} chooses no pods")
    declared = {
        port["containerPort"]
        for entry in chosen
        for box in entry["spec"]["template"]["spec"]["containers"]
        for port in box.get("ports", [])
    }
    for port in item["spec"]["ports"]:
        expect(
            not declared or port["targetPort"] in declared or port["name"] == "http-metrics",
            f"service port {port['name']} leads to no port of the pods",
        )
