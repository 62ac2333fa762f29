"""The helmfile: releases, environments, variables, runtimes."""

import os
import re
import tempfile

import yaml
from helmfile import DEPLOY, Deployment, RenderError, render
from manifests import Failure, check, container, equal, expect, none, one, pod, workload

REQUIRED = {
    "CLUSTER_LABEL": "cluster-1",
    "REMOTE_AUTH_SECRET": "alloy-secret",
    "REMOTE_AUTH_SCOPE": "api://scope/.default",
}
ENDPOINTS = {
    "LOKI_ENDPOINT_PANOPTES": "https://logs.example/otlp",
    "MIMIR_ENDPOINT_PANOPTES": "https://metrics.example/otlp",
}
FULL = {**REQUIRED, **ENDPOINTS}
ALWAYS = {"/proc": "/proc", "/sys": "/sys", "/ais": "/ais", "/rootfs": "/", "/dev/disk": "/dev/disk"}
RUNTIMES = {
    "docker": ("/var/run/docker.sock", "/var/lib/docker"),
    "crio": ("/var/run/crio/crio.sock", "/var/lib/containers"),
    "containerd": ("/run/containerd/containerd.sock", "/var/lib/containerd"),
}
MONITORING = {("alloy-config", "ConfigMap")}


def collector(*arguments, **options):
    objects = Deployment(*arguments, **options).objects("alloy")
    check(objects)
    return objects


def mounts(objects):
    """Mount path to (host path, its type, read-only) of the collector's mounts of the node."""
    volumes = {volume["name"]: volume.get("hostPath") for volume in pod(objects)["volumes"]}
    result = {}
    for mount in container(objects)["volumeMounts"]:
        if volumes[mount["name"]]:
            host = volumes[mount["name"]]
            result[mount["mountPath"]] = (host["path"], host.get("type"), mount.get("readOnly", False))
    return result


def case_deployment_releases():
    for environment in ("local", "remote", "prod", "default"):
        deployment = Deployment(environment, FULL)
        equal(sorted(deployment.environments), ["default", "local", "prod", "remote"], "environments")
        equal(list(deployment.releases), ["alloy-config", "alloy"], "releases")
        equal(deployment.releases["alloy"]["needs"], ["alloy-config"], "needs")
        for release in deployment.releases.values():
            equal((release["namespace"], release["createNamespace"]), ("monitoring", True), "namespace")
            chart = os.path.join(DEPLOY, release["chart"], "Chart.yaml")
            with open(chart) as file:
                equal(yaml.safe_load(file)["version"], release["version"], f"version of {release['chart']}")
        (config_map,) = deployment.objects("alloy-config")
        equal(
            (config_map["kind"], config_map["metadata"]["name"], config_map["metadata"]["namespace"]),
            ("ConfigMap", "alloy-config", "monitoring"),
            "ConfigMap",
        )
        equal(list(config_map["data"]), ["config.alloy"], "keys of the ConfigMap")


def case_deployment_required_variables():
    for environment in ("remote", "prod"):
        for name in REQUIRED:
            for value in (None, ""):
                process = {key: text for key, text in FULL.items() if key != name}
                if value is not None:
                    process[name] = value
                try:
                    Deployment(environment, process).objects("alloy-config")
                except RenderError as error:
                    expect(name in str(error), f"{environment} without {name} fails without naming it: {error}")
                else:
                    raise Failure(f"{environment} renders without {name}")
    Deployment("local").objects("alloy-config")
    for environment in ("remote", "prod"):
        Deployment(environment, REQUIRED).objects("alloy-config")


def case_deployment_collector():
    objects = collector("local")
    equal(workload(objects)["kind"], "DaemonSet", "kind")
    equal(
        container(objects)["args"],
        [
            "run",
            "/etc/alloy/config.alloy",
            "--storage.path=/tmp/alloy",
            "--server.http.listen-addr=0.0.0.0:12345",
            "--server.http.ui-path-prefix=/",
            "--stability.level=experimental",
        ],
        "arguments",
    )
    equal(pod(objects)["volumes"][0], {"name": "config", "configMap": {"name": "alloy-config"}}, "configuration")
    none(objects, "ConfigMap")
    service = one(objects, "Service")
    equal((service["metadata"]["name"], service["spec"]["ports"][0]["port"]), ("alloy", 12345), "service")
    security = container(objects)["securityContext"]
    equal(security["capabilities"], {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}, "capabilities")
    equal(security["readOnlyRootFilesystem"], True, "read-only root")
    resources = container(objects)["resources"]
    expect({"cpu", "memory"} <= set(resources["requests"]) and "memory" in resources["limits"], "no resources")
    equal(container(objects)["livenessProbe"]["httpGet"], {"path": "/-/ready", "port": 12345}, "liveness probe")


def case_deployment_runtimes():
    for environment in ("local", "remote", "prod"):
        for name, (socket, folder) in RUNTIMES.items():
            found = mounts(collector(environment, {**FULL, "CONTAINER_RUNTIME": name}))
            equal(found.pop(socket), (socket, "Socket", False), f"socket of {name}")
            equal(found.pop(folder), (folder, None, True), f"folder of {name}")
            equal({path: host for path, (host, _, _) in found.items()}, ALWAYS, f"mounts with {name}")
            equal({path for path, (_, _, readonly) in found.items() if not readonly}, set(), "writable mounts")
    for process in ({}, {"CONTAINER_RUNTIME": ""}, {"CONTAINER_RUNTIME": "rkt"}):
        found = mounts(collector("local", process))
        expect(RUNTIMES["docker"][0] in found, f"{process} is not docker")
        equal(len(found), len(ALWAYS) + 2, "number of mounts")


def case_deployment_runtimes_newer_form():
    for name, (socket, folder) in RUNTIMES.items():
        found = mounts(collector(environment_values={"container_runtime": name}))
        equal(set(found), {*ALWAYS, socket, folder}, f"mounts with {name}")
    equal(set(mounts(collector(environment_values={"container_runtime": "rkt"}))), set(ALWAYS), "mounts without")


def case_deployment_host_network():
    spec = pod(collector())
    expect("hostNetwork" not in spec, "host network although nobody asked")
    equal(spec["dnsPolicy"], "ClusterFirst", "DNS policy")
    spec = pod(collector(environment_values={"host_network": True}))
    equal((spec["hostNetwork"], spec["dnsPolicy"]), (True, "ClusterFirstWithHostNet"), "network")


def case_deployment_image():
    equal(container(collector("local"))["image"].split(":")[0], "invar", "image")
    process = {"INVAR_IMAGE_REGISTRY": "r.example", "INVAR_IMAGE_REPOSITORY": "a/invar", "INVAR_IMAGE_TAG": "9"}
    equal(container(collector("local", process))["image"], "r.example/a/invar:9", "image")


def case_deployment_rights():
    # Pods and logs everywhere, one Secret by name, nothing else.
    objects = collector("prod", FULL)
    rules = one(objects, "ClusterRole")["rules"]
    equal(
        [(rule["apiGroups"], sorted(rule["resources"])) for rule in rules],
        [([""], ["namespaces", "pods", "pods/log"])],
        "rules",
    )
    role = one(objects, "Role")
    equal(role["rules"][0]["resourceNames"], ["alloy-secret"], "Secret")
    equal(role["metadata"]["namespace"], "monitoring", "namespace")
    subject = one(objects, "RoleBinding")["subjects"][0]
    equal(subject, {"kind": "ServiceAccount", "name": "alloy", "namespace": "monitoring"}, "subject")
    none(collector("local"), "Role")
    newer = Deployment(sets=("remote.secret=other",)).objects("alloy")
    equal(one(newer, "Role")["rules"][0]["resourceNames"], ["other"], "Secret of the newer form")
    equal(one(collector(), "Role")["rules"][0]["resourceNames"], ["none"], "Secret where none is named")


def case_deployment_https_goes_to_both():
    for environment in ("local", "remote", "prod", "default"):
        plain = Deployment(environment, FULL, sets=("scrape.https=false",))
        secure = Deployment(environment, FULL, sets=("https=true",))
        equal(plain.objects("alloy"), secure.objects("alloy"), "objects of the collector")
        expect("https = " not in scrape(plain.configuration()), "HTTPS although nobody asked")
        text = scrape(secure.configuration())
        expect(re.search(r'scheme\s+= "https"', text), f"{environment}: no scheme")
        expect(re.search(r"tls_config {\s+insecure_skip_verify = true\s+}", text), f"{environment}: no tls_config")
        others = secure.configuration().replace(text, "")
        expect('"https"' not in others, f"{environment}: another scrape is HTTPS")


def scrape(configuration):
    """The block of the AIStore scrape."""
    return re.search(r'^prometheus\.scrape "aistore" {.*?^}', configuration, flags=re.S | re.M).group(0)


def case_deployment_first_users_values():
    # The shape of the first user's own values for the upstream chart, old and new: only the image differs.
    extra = [
        {"name": "proc", "mountPath": "/proc"},
        {"name": "sock", "mountPath": "/var/run/docker.sock", "readOnly": False},
    ]
    values = {
        "alloy": {
            "configMap": {"create": False, "name": "alloy-config", "key": "config.alloy"},
            "stabilityLevel": "experimental",
            "listenAddr": "0.0.0.0",
            "listenPort": 12345,
            "hostAliases": [],
            "mounts": {"varlog": False, "dockercontainers": False, "extra": extra},
            "resources": {},
            "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
        },
        "image": {
            "registry": "docker.io",
            "repository": "someone/invar",
            "tag": None,
            "digest": None,
            "pullPolicy": "IfNotPresent",
            "pullSecrets": [],
        },
        "controller": {
            "type": "daemonset",
            "hostNetwork": True,
            "dnsPolicy": "ClusterFirstWithHostNet",
            "volumes": {
                "extra": [
                    {"name": "proc", "hostPath": {"path": "/proc"}},
                    {"name": "sock", "hostPath": {"path": "/var/run/docker.sock", "type": "Socket"}},
                ]
            },
        },
        "scrape": {"https": "true"},
        "ethtool": {"device_include": "^ens.*"},
        "https": True,
        "local": {"endpoint": "http://x"},
        "remote": {"endpoint": None, "label": "l", "secret": None, "auth_type": None},
    }
    objects = render(os.path.join(DEPLOY, "charts", "invar"), values)
    check(objects)
    security = container(objects)["securityContext"]
    equal(security["runAsUser"], 0, "user that opens the runtime's socket")
    equal(security["capabilities"]["add"], ["DAC_READ_SEARCH", "NET_ADMIN"], "capabilities")
    expect(all(mount in container(objects)["volumeMounts"] for mount in extra), "a mount is missing")
    expect(container(objects)["image"].startswith("docker.io/someone/invar:"), "wrong image")
    equal(pod(objects)["hostNetwork"], True, "host network")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        deployment = Deployment(environment_values={"valuesPath": file.name})
        check(deployment.objects("alloy"))
        expect("ethtool" in deployment.configuration(), "the values did not reach the configuration")
