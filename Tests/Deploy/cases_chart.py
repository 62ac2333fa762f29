"""The collector chart: values of both forms of the upstream chart, and the objects they make."""

import json
import os
import shutil
import tempfile

import helm_python
import yaml
from helmfile import DEPLOY, RenderError, notes, render
from manifests import (
    COMPONENTS,
    WORKLOADS,
    Failure,
    check,
    check_schema,
    container,
    equal,
    expect,
    none,
    one,
    pod,
    workload,
)

CHART = os.path.join(DEPLOY, "charts", "invar")


def objects(values=None, name="alloy"):
    result = render(CHART, values or {}, name)
    check(result)
    return result


def refused(values, words):
    try:
        render(CHART, values)
    except RenderError as error:
        expect(all(word in str(error) for word in words), f"refused for another reason: {error}")
    else:
        raise Failure(f"not refused: {json.dumps(values)}")


def case_chart_lint():
    report = helm_python.lint(CHART, {}, strict=True)
    problems = [message for message in report["messages"] if message["severity"] >= 2]
    equal(problems + report["errors"], [], "findings")


def case_chart_default_objects():
    result = objects()
    kinds = sorted(item["kind"] for item in result)
    equal(
        kinds, ["ClusterRole", "ClusterRoleBinding", "ConfigMap", "DaemonSet", "Service", "ServiceAccount"], "kinds"
    )
    for item in result:
        labels = item["metadata"]["labels"]
        for label in ("name", "instance", "version", "managed-by", "part-of"):
            expect(f"app.kubernetes.io/{label}" in labels, f"{item['kind']} lacks the label {label}")
        expect(labels["helm.sh/chart"].startswith("invar-"), "wrong chart label")
        if item["kind"] not in WORKLOADS:
            expect(labels["app.kubernetes.io/component"] in COMPONENTS, f"{item['kind']} has no component")
    selector = workload(result)["spec"]["selector"]["matchLabels"]
    equal(selector, {"app.kubernetes.io/name": "alloy", "app.kubernetes.io/instance": "alloy"}, "selector")


def case_chart_arguments_in_order():
    equal(
        container(objects())["args"],
        [
            "run",
            "/etc/alloy/config.alloy",
            "--storage.path=/tmp/alloy",
            "--server.http.listen-addr=0.0.0.0:12345",
            "--server.http.ui-path-prefix=/",
            "--stability.level=generally-available",
        ],
        "arguments",
    )
    full = {
        "alloy": {
            "configMap": {"key": "x.alloy"},
            "storagePath": "/data",
            "listenAddr": "127.0.0.1",
            "listenPort": 8080,
            "uiPathPrefix": "/ui",
            "enableReporting": False,
            "stabilityLevel": "experimental",
            "clustering": {"enabled": True, "name": "c", "portName": "peer"},
            "extraArgs": ["--a=1", "--b"],
            "command": ["/bin/alloy"],
        }
    }
    result = objects(full)
    equal(
        container(result)["args"],
        [
            "run",
            "/etc/alloy/x.alloy",
            "--storage.path=/data",
            "--server.http.listen-addr=127.0.0.1:8080",
            "--server.http.ui-path-prefix=/ui",
            "--disable-reporting",
            "--cluster.enabled=true",
            "--cluster.join-addresses=alloy-cluster",
            "--cluster.name=c",
            "--stability.level=experimental",
            "--a=1",
            "--b",
        ],
        "arguments",
    )
    equal(container(result)["command"], ["/bin/alloy"], "command")
    cluster = one(result, "Service", "alloy-cluster")["spec"]
    equal((cluster["clusterIP"], cluster["publishNotReadyAddresses"]), ("None", True), "cluster service")
    equal([port["name"] for port in cluster["ports"]], ["peer"], "ports of the cluster service")
    reloader = container(result, "config-reloader")["args"]
    equal(reloader, ["--watched-dir=/etc/alloy", "--reload-url=http://localhost:8080/-/reload"], "reloader")


def case_chart_environment_and_probes():
    box = container(
        objects({"alloy": {"extraEnv": [{"name": "A", "value": "b"}], "envFrom": [{"secretRef": {"name": "s"}}]}})
    )
    node = {"fieldRef": {"fieldPath": "spec.nodeName"}}
    equal(
        box["env"],
        [
            {"name": "ALLOY_DEPLOY_MODE", "value": "helm"},
            {"name": "HOSTNAME", "valueFrom": node},
            {"name": "K8S_NODE_NAME", "valueFrom": node},
            {"name": "A", "value": "b"},
        ],
        "variables",
    )
    equal(box["envFrom"], [{"secretRef": {"name": "s"}}], "envFrom")
    equal(
        box["readinessProbe"],
        {
            "httpGet": {"path": "/-/ready", "port": 12345, "scheme": "HTTP"},
            "initialDelaySeconds": 10,
            "timeoutSeconds": 1,
        },
        "readiness probe",
    )
    expect("livenessProbe" not in box, "there is a liveness probe")
    bare = container(
        objects({"alloy": {"enableHttpServerPort": False, "livenessProbe": {"httpGet": {"path": "/", "port": 1}}}})
    )
    expect("readinessProbe" not in bare and "ports" not in bare, "the port is declared all the same")
    equal(bare["livenessProbe"], {"httpGet": {"path": "/", "port": 1}}, "liveness probe")


def case_chart_hardened_by_default():
    result = objects()
    security = container(result)["securityContext"]
    equal(
        security,
        {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "security context",
    )
    paths = {mount["mountPath"]: mount["name"] for mount in container(result)["volumeMounts"]}
    equal(paths, {"/etc/alloy": "config", "/tmp/alloy": "invar-storage", "/tmp": "invar-tmp"}, "mounts")
    for volume in pod(result)["volumes"][1:]:
        equal(volume.get("emptyDir"), {}, f"volume {volume['name']}")
    equal(container(result, "config-reloader")["securityContext"]["runAsUser"], 65534, "user of the reloader")
    off = objects({"hardening": {"enabled": False}})
    expect("securityContext" not in container(off), "hardening is not off")
    equal(len(pod(off)["volumes"]), 2, "number of volumes")


def case_chart_security_yields_to_values():
    def security(alloy=None, **more):
        return container(objects({"alloy": alloy or {}, **more}))["securityContext"]

    host = {"volumes": {"extra": [{"name": "x", "hostPath": {"path": "/x"}}]}}
    mounts = {"mounts": {"extra": [{"name": "x", "mountPath": "/x"}]}}
    found = security(mounts, controller=host)
    equal((found["runAsUser"], found["capabilities"]), (0, {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}), "node")
    equal(security({"mounts": {"varlog": True}})["runAsUser"], 0, "user that reads /var/log")
    found = security({**mounts, "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}, controller=host)
    equal(found["capabilities"], {"drop": ["ALL"], "add": ["DAC_READ_SEARCH", "NET_ADMIN"]}, "capabilities")
    found = security({"securityContext": {"capabilities": {"drop": ["KILL"]}, "readOnlyRootFilesystem": False}})
    equal((found["capabilities"], found["readOnlyRootFilesystem"]), ({"drop": ["KILL"]}, False), "what was asked for")
    equal(security({"securityContext": {"privileged": True}}), {"privileged": True}, "privileged context")
    equal(security({"listenPort": 80})["capabilities"]["add"], ["NET_BIND_SERVICE"], "capabilities of a low port")
    found = security({"securityContext": {"runAsUser": 7}})
    expect(found["runAsUser"] == 7 and "runAsNonRoot" not in found, "the user was not left alone")
    found = security(mounts, controller=host, **{"global": {"podSecurityContext": {"runAsNonRoot": True}}})
    expect("runAsUser" not in found, "root although the pod must not be")
    covered = objects(
        {
            "alloy": {"storagePath": "/data/a", "mounts": {"extra": [{"name": "d", "mountPath": "/data"}]}},
            "controller": {"volumes": {"extra": [{"name": "d", "emptyDir": {}}]}},
        }
    )
    expect("invar-storage" not in [volume["name"] for volume in pod(covered)["volumes"]], "storage is mounted twice")
    equal(pod(covered)["securityContext"], {"fsGroup": 65532}, "pod security context")


def case_chart_names():
    def name(release, **values):
        return workload(objects(values, release))["metadata"]["name"]

    equal(name("alloy"), "alloy", "name")
    equal(name("my-alloy-2"), "my-alloy-2", "name")
    equal(name("logs"), "logs-alloy", "name")
    equal(name("logs", nameOverride="x"), "logs-x", "name")
    equal(name("logs", fullnameOverride="y"), "y", "name")
    equal(len(name("logs", nameOverride="n" * 80)), 63, "length of a long name")
    other = objects({"namespaceOverride": "elsewhere"})
    equal({item["metadata"].get("namespace") for item in other}, {"elsewhere", None}, "namespaces")


def case_chart_images():
    def image(values, which="alloy"):
        return container(objects(values), which)["image"]

    version = helm_python.Chart.load(CHART).metadata["appVersion"]
    equal(image({}), f"invar:{version}", "image")
    equal(image({"image": {"registry": "r.io", "repository": "a/b", "tag": "1"}}), "r.io/a/b:1", "image")
    equal(image({"image": {"tag": "1", "digest": "abc"}}), "invar@sha256:abc", "image")
    equal(image({"image": {"digest": "sha256:abc"}}), "invar@sha256:abc", "image")
    equal(
        image({"global": {"image": {"registry": "g"}}, "image": {"registry": "r", "tag": None}}),
        f"g/invar:{version}",
        "image",
    )
    equal(image({"global": {"image": {"registry": "g"}}}, "config-reloader").split("/")[0], "g", "registry")
    result = objects({"global": {"image": {"pullPolicy": "Always", "pullSecrets": [{"name": "s"}]}}})
    equal(pod(result)["imagePullSecrets"], [{"name": "s"}], "pull secrets")
    equal(container(result)["imagePullPolicy"], "Always", "pull policy")
    label = workload(objects({"image": {"tag": "v1@sha256:" + "a" * 64}}))["metadata"]["labels"]
    equal(label["app.kubernetes.io/version"], "v1", "version label")


def case_chart_config_map():
    made = one(objects({"alloy": {"configMap": {"content": "// {{ .Release.Name }}\n", "key": "k"}}}), "ConfigMap")
    equal(made["data"]["k"].strip(), "// alloy", "configuration")
    existing = objects({"alloy": {"configMap": {"create": False, "name": "there", "key": "k"}}})
    none(existing, "ConfigMap")
    equal(pod(existing)["volumes"][0], {"name": "config", "configMap": {"name": "there"}}, "volume")

    def checksum(**values):
        annotations = workload(objects(values))["spec"]["template"]["metadata"]["annotations"]
        return annotations.get("checksum/config")

    off = {"configReloader": {"enabled": False}}
    one_sum = checksum(**off, alloy={"configMap": {"content": "a"}})
    equal(len(one_sum), 63, "length of the checksum")
    expect(one_sum != checksum(**off, alloy={"configMap": {"content": "b"}}), "the checksum does not change")
    equal(checksum(), None, "checksum beside a reloader")
    equal(checksum(**off, alloy={"configMap": {"create": False}}), None, "checksum of a foreign ConfigMap")


def case_chart_old_form():
    # What a values file of the old upstream chart may say: the old reloader, the alias, the older autoscaling.
    result = objects(
        {
            "agent": {
                "listenPort": 9090,
                "enableReporting": False,
                "clustering": {"enabled": True},
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
            },
            "configReloader": {
                "image": {
                    "registry": "ghcr.io",
                    "repository": "jimmidyson/configmap-reload",
                    "tag": "v0.14.0",
                    "digest": "",
                },
                "resources": {"requests": {"cpu": "1m", "memory": "5Mi"}},
            },
            "controller": {"type": "deployment", "autoscaling": {"enabled": True, "maxReplicas": 9}},
        }
    )
    equal(
        container(result, "config-reloader")["args"],
        ["--volume-dir=/etc/alloy", "--webhook-url=http://localhost:9090/-/reload"],
        "reloader",
    )
    expect("--disable-reporting" in container(result)["args"], "a false value of the alias is lost")
    scaler = one(result, "HorizontalPodAutoscaler")["spec"]
    equal((scaler["minReplicas"], scaler["maxReplicas"]), (1, 9), "replicas")
    equal([metric["resource"]["name"] for metric in scaler["metrics"]], ["memory"], "measures")
    expect("replicas" not in workload(result)["spec"], "replicas beside an autoscaler")


def case_chart_workload_kinds():
    for kind in ("daemonset", "deployment", "statefulset"):
        item = workload(
            objects({"controller": {"type": kind, "replicas": 3, "updateStrategy": {"type": "OnDelete"}}})
        )
        equal(item["kind"].lower(), kind, "kind")
        equal(item["spec"].get("replicas"), None if kind == "daemonset" else 3, "replicas")
        equal(item["spec"]["minReadySeconds"], 10, "minReadySeconds")
        expect("revisionHistoryLimit" not in item["spec"], "the default history limit is rendered")
        expect(("strategy" if kind == "deployment" else "updateStrategy") in item["spec"], "no update strategy")
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    stateful = workload(
        objects(
            {
                "controller": {
                    "type": "statefulset",
                    "volumeClaimTemplates": [claim],
                    "enableStatefulSetAutoDeletePVC": True,
                    "revisionHistoryLimit": 3,
                },
                "alloy": {"storagePath": "/data", "mounts": {"extra": [{"name": "data", "mountPath": "/data"}]}},
            }
        )
    )["spec"]
    equal(stateful["podManagementPolicy"], "Parallel", "pod management")
    equal(stateful["serviceName"], "alloy", "service name")
    equal(
        stateful["persistentVolumeClaimRetentionPolicy"], {"whenDeleted": "Delete", "whenScaled": "Delete"}, "claims"
    )
    equal(stateful["revisionHistoryLimit"], 3, "history limit")
    ordered = workload(objects({"controller": {"type": "statefulset", "parallelRollout": False}}))["spec"]
    expect("podManagementPolicy" not in ordered, "parallel although not asked")
    refused({"controller": {"type": "cronjob"}}, ["controller/type"])
    refused({"enableStatefulSetAutoDeletePVC": True}, ["belongs under controller"])


def case_chart_pod_settings():
    settings = {
        "hostNetwork": True,
        "hostPID": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "priorityClassName": "high",
        "terminationGracePeriodSeconds": 60,
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    }
    result = objects(
        {
            "controller": {
                **settings,
                "podAnnotations": {"p": "q"},
                "podLabels": {"l": "m"},
                "extraLabels": {"x": "y"},
                "extraAnnotations": {"e": "f"},
                "initContainers": [{"name": "i", "image": "i"}],
                "extraContainers": [{"name": "e", "image": "e"}],
            },
            "alloy": {
                "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["h"]}],
                "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
                "mounts": {"varlog": True, "dockercontainers": True},
            },
            "serviceAccount": {
                "additionalLabels": {"s": "t"},
                "annotations": {"u": "v"},
                "automountServiceAccountToken": False,
            },
        }
    )
    spec = pod(result)
    for key, value in settings.items():
        equal(spec[key], value, key)
    template = workload(result)["spec"]["template"]["metadata"]
    equal((template["annotations"]["p"], template["labels"]["l"]), ("q", "m"), "pod metadata")
    metadata = workload(result)["metadata"]
    equal((metadata["labels"]["x"], metadata["annotations"]), ("y", {"e": "f"}), "metadata")
    equal([box["name"] for box in spec["containers"]], ["alloy", "config-reloader", "e"], "containers")
    equal(spec["hostAliases"][0]["ip"], "1.2.3.4", "host aliases")
    account = one(result, "ServiceAccount")
    equal(account["automountServiceAccountToken"], False, "token")
    equal((account["metadata"]["labels"]["s"], account["metadata"]["annotations"]), ("t", {"u": "v"}), "account")


def case_chart_horizontal_scaling():
    requests = {"alloy": {"resources": {"requests": {"cpu": 1, "memory": "1Gi"}}}}
    policies = [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    horizontal = {"enabled": True, "targetCPUUtilizationPercentage": 70, "scaleDown": {"policies": policies}}
    for kind in ("deployment", "statefulset"):
        result = objects({**requests, "controller": {"type": kind, "autoscaling": {"horizontal": horizontal}}})
        scaler = one(result, "HorizontalPodAutoscaler")["spec"]
        equal([metric["resource"]["name"] for metric in scaler["metrics"]], ["memory", "cpu"], "measures")
        equal(
            scaler["behavior"]["scaleDown"],
            {"policies": policies, "selectPolicy": "Max", "stabilizationWindowSeconds": 300},
            "behaviour",
        )
        equal(scaler["behavior"]["scaleUp"], {"stabilizationWindowSeconds": 0}, "behaviour")
    external = objects({"controller": {"type": "deployment", "autoscaling": {"horizontal": {"externalHPA": True}}}})
    none(external, "HorizontalPodAutoscaler")
    expect("replicas" not in workload(external)["spec"], "replicas beside an external autoscaler")
    none(objects({**requests, "controller": {"autoscaling": {"horizontal": horizontal}}}), "HorizontalPodAutoscaler")
    scaled = {"controller": {"type": "deployment", "autoscaling": {"horizontal": horizontal}}}
    refused(scaled, ["alloy.resources.requests", "required"])
    refused({**scaled, **requests, "configReloader": {"resources": {"requests": None}}}, ["configReloader.resources"])
    objects({**scaled, **requests, "configReloader": {"enabled": False, "resources": None}})
    both = {"enabled": True, "externalHPA": True}
    refused({"controller": {"type": "deployment", "autoscaling": {"horizontal": both}}}, ["not both"])


def case_chart_vertical_scaling():
    values = {
        "controller": {
            "type": "statefulset",
            "autoscaling": {
                "vertical": {"enabled": True, "recommenders": [{"name": "r"}], "updatePolicy": {"updateMode": "Auto"}}
            },
        }
    }
    none(objects(values), "VerticalPodAutoscaler")
    # The engine's offline cluster lacks the API, so that the chart is shown one that has it.
    with tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, "invar")
        shutil.copytree(CHART, copy)
        path = os.path.join(copy, "templates", "vpa.yaml")
        with open(path) as file:
            text = file.read()
        question = '(.Capabilities.APIVersions.Has "autoscaling.k8s.io/v1")'
        expect(question in text, "the chart does not ask for the API")
        with open(path, "w") as file:
            file.write(text.replace(question, "true"))
        result = render(copy, values)
    check(result)
    scaler = one(result, "VerticalPodAutoscaler")["spec"]
    equal(scaler["targetRef"], {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "alloy"}, "target")
    equal((scaler["recommenders"], scaler["updatePolicy"]), ([{"name": "r"}], {"updateMode": "Auto"}), "settings")
    equal(scaler["resourcePolicy"]["containerPolicies"][0]["containerName"], "alloy", "container")


def case_chart_disruption_budget():
    def budget(kind="deployment", **bounds):
        return {"controller": {"type": kind, "podDisruptionBudget": {"enabled": True, **bounds}}}

    equal(one(objects(budget(minAvailable=1)), "PodDisruptionBudget")["spec"]["minAvailable"], 1, "bound")
    equal(one(objects(budget(maxUnavailable="50%")), "PodDisruptionBudget")["spec"]["maxUnavailable"], "50%", "bound")
    refused(budget("daemonset", minAvailable=1), ["DaemonSet"])
    refused(budget(), ["set one of"])
    refused(budget(minAvailable=1, maxUnavailable=1), ["only one of"])


def case_chart_service():
    port = {
        "name": "otlp",
        "port": 4317,
        "targetPort": 14317,
        "protocol": "TCP",
        "nodePort": 30001,
        "appProtocol": "grpc",
        "hostPort": 4317,
    }
    result = objects(
        {
            "alloy": {"extraPorts": [port]},
            "service": {
                "type": "NodePort",
                "annotations": {"a": "b"},
                "clusterIP": "10.0.0.1",
                "externalTrafficPolicy": "Local",
            },
        }
    )
    spec = one(result, "Service")["spec"]
    equal(
        spec["ports"],
        [
            {"name": "http-metrics", "port": 12345, "targetPort": 12345, "protocol": "TCP", "nodePort": 31128},
            {
                "name": "otlp",
                "port": 4317,
                "targetPort": 14317,
                "protocol": "TCP",
                "appProtocol": "grpc",
                "nodePort": 30001,
            },
        ],
        "ports",
    )
    equal((spec["externalTrafficPolicy"], spec["clusterIP"]), ("Local", "10.0.0.1"), "service")
    equal(
        container(result)["ports"][1],
        {"name": "otlp", "containerPort": 14317, "hostPort": 4317, "protocol": "TCP"},
        "port",
    )
    plain = one(objects({"alloy": {"extraPorts": [port]}}), "Service")["spec"]
    expect(not any("nodePort" in entry for entry in plain["ports"]), "node ports on a ClusterIP service")
    expect("externalTrafficPolicy" not in plain, "an external policy on a ClusterIP service")
    none(objects({"service": {"enabled": False}}), "Service")


def case_chart_network_objects():
    result = objects(
        {
            "networkPolicy": {"enabled": True, "egress": None},
            "serviceMonitor": {
                "enabled": True,
                "interval": "1m",
                "additionalLabels": {"r": "s"},
                "tlsConfig": {"insecureSkipVerify": True},
                "relabelings": [{"replacement": "{{ .Release.Name }}"}],
                "metricRelabelings": [{"action": "keep"}],
            },
            "alloy": {"listenScheme": "HTTPS"},
            "ingress": {
                "enabled": True,
                "ingressClassName": "n",
                "annotations": {"a": "{{ .Release.Name }}"},
                "hosts": ["{{ .Release.Name }}.x"],
                "labels": {"i": "j"},
                "tls": [{"secretName": "t"}],
            },
        }
    )
    policy = one(result, "NetworkPolicy")["spec"]
    equal(
        (policy["policyTypes"], policy["ingress"], "egress" in policy), (["Ingress", "Egress"], [{}], False), "policy"
    )
    endpoint = one(result, "ServiceMonitor")["spec"]["endpoints"][0]
    equal(
        endpoint,
        {
            "port": "http-metrics",
            "scheme": "https",
            "honorLabels": True,
            "interval": "1m",
            "metricRelabelings": [{"action": "keep"}],
            "relabelings": [{"replacement": "alloy"}],
            "tlsConfig": {"insecureSkipVerify": True},
        },
        "endpoint",
    )
    ingress = one(result, "Ingress")
    equal((ingress["metadata"]["annotations"], ingress["metadata"]["labels"]["i"]), ({"a": "alloy"}, "j"), "metadata")
    rule = ingress["spec"]["rules"][0]
    equal(rule["host"], "alloy.x", "host")
    equal(
        rule["http"]["paths"],
        [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "alloy", "port": {"number": 12347}}}}],
        "paths",
    )
    equal(ingress["spec"]["ingressClassName"], "n", "class")
    hostless = one(objects({"ingress": {"enabled": True, "hosts": []}}), "Ingress")["spec"]["rules"]
    expect("host" not in hostless[0], "a host although none was given")
    none(objects({"networkPolicy": {"enabled": True, "flavor": "cilium"}}), "NetworkPolicy")
    none(objects({"serviceMonitor": {"enabled": True}, "service": {"enabled": False}}), "ServiceMonitor")


def case_chart_rights():
    role = one(objects(), "ClusterRole")["rules"]
    resources = {resource for rule in role for resource in rule.get("resources", [])}
    equal(
        resources,
        {
            "endpoints",
            "endpointslices",
            "ingresses",
            "pods",
            "services",
            "pods/log",
            "namespaces",
            "podlogs",
            "prometheusrules",
            "podmonitors",
            "servicemonitors",
            "probes",
            "scrapeconfigs",
            "alertmanagerconfigs",
            "events",
            "configmaps",
            "secrets",
            "replicasets",
            "nodes",
            "nodes/pods",
            "nodes/metrics",
        },
        "resources",
    )
    scoped = objects({"rbac": {"namespaces": ["a", "b"]}})
    none(scoped, "ClusterRole")
    roles = [item for item in scoped if item["kind"] == "Role"]
    equal([item["metadata"]["namespace"] for item in roles], ["a", "b"], "namespaces of the roles")
    expect(not any("nonResourceURLs" in rule for item in roles for rule in item["rules"]), "cluster rules in a role")
    equal(one(objects({"rbac": {"rules": [], "clusterRules": []}}), "ClusterRole")["rules"], [], "rules")
    bare = render(CHART, {"rbac": {"create": False}, "serviceAccount": {"create": False, "name": "mine"}})
    none(bare, "ServiceAccount")
    equal([item["kind"] for item in bare if "Role" in item["kind"]], [], "roles")
    equal(pod(bare)["serviceAccountName"], "mine", "service account")


def case_chart_extra_objects():
    made = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-more", "namespace": "n"},
    }
    expect(one(objects({"extraObjects": [made]}), "ConfigMap", "alloy-more"), "no object")
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: text\n  namespace: n\n"
    expect(one(objects({"extraObjects": [text]}), "ConfigMap", "text"), "no object")


def case_chart_definitions():
    with helm_python.Chart.load(CHART) as chart:
        (definition,) = chart.crds
        equal(chart.metadata["dependencies"][0]["condition"], "crds.create", "condition")
    expect("podlogs.monitoring.grafana.com" in definition["name"] + definition["data"], "not the PodLogs definition")
    document = yaml.safe_load(definition["data"])
    check_schema(document)
    version = document["spec"]["versions"][0]
    equal((version["name"], version["served"], version["storage"]), ("v1alpha2", True, True), "version")
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    equal(sorted(spec["properties"]), ["namespaceSelector", "relabelings", "selector"], "fields")


def case_chart_packed():
    with tempfile.TemporaryDirectory() as directory:
        archive = helm_python.package(CHART, destination=directory)
        equal(render(archive, {}), render(CHART, {}), "objects of the archive")
        with helm_python.Chart.load(archive) as chart:
            equal(len(chart.crds), 1, "number of definitions in the archive")


def case_chart_unknown_keys():
    values = {"https": True, "scrape": {"https": "true"}, "remote": {"label": "x"}, "alloy": {"inventedHere": 1}}
    objects(values)
    expect("alloy.inventedHere" in notes(CHART, values), "the notes do not name what has no effect")
    expect("no effect" not in notes(CHART, {}), "the notes complain about the chart's own values")


def case_chart_schema():
    refused({"alloy": {"stabilityLevel": "beta"}}, ["stabilityLevel"])
    refused({"alloy": {"extraPorts": [{"name": "x"}]}}, ["extraPorts"])
    refused({"controller": {"replicas": "many"}}, ["replicas"])
    refused({"image": {"repository": ""}}, ["repository"])
    refused({"networkPolicy": {"policyTypes": ["Sideways"]}}, ["policyTypes"])
    with open(os.path.join(CHART, "values.schema.json")) as file:
        known = json.load(file)["properties"]
    with helm_python.Chart.load(CHART) as chart:
        values = chart.values

    def missing(schema, value, path):
        for key, entry in value.items():
            if key not in schema:
                yield f"{path}{key}"
            elif isinstance(entry, dict) and "properties" in schema[key]:
                yield from missing(schema[key]["properties"], entry, f"{path}{key}.")

    equal(sorted(missing(known, values, "")), [], "values the schema does not know")
