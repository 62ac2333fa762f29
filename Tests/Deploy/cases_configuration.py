"""The rendered config.alloy: layout, components, destinations."""

import itertools
import os
import re

from binary import invar
from cases_deployment import FULL, REQUIRED
from helmfile import DEPLOY, Deployment
from manifests import Failure, equal, expect

BASE = "https://otlp.example/api"
NEWER = {
    "unset": ("remote.endpoint=",),
    "nothing": ("local.endpoint=", "local.logsEndpoint=", "local.metricsEndpoint="),
    "oauth2": (f"remote.endpoint={BASE}", "remote.secret=s", "remote.scope=a", "remote.label=c"),
    "mtls": (f"remote.endpoint={BASE}", "remote.secret=s", "remote.auth_type=mtls"),
    "separate": (
        "remote.endpoint=",
        f"remote.metricsEndpoint={BASE}/m",
        f"remote.logsEndpoint={BASE}/l",
        "remote.secret=s",
    ),
    "logs": (f"remote.logsEndpoint={BASE}/l", "remote.secret=s", "local.endpoint=", "local.logsEndpoint="),
    "loki-push": ("local.logsEndpoint=http://loki/loki/api/v1/push",),
    "ethtool": ("ethtool.device_include=^ens.*",),
    "ethtool-metrics": ("ethtool.device_include=^ens.*", "ethtool.metrics_include=^rx_errors$"),
}


def configurations():
    """Name and text of the configuration of every environment, in every form."""
    for environment, https in itertools.product(("local", "remote", "prod"), (False, True)):
        sets = ("https=true",) if https else ()
        for name in ("full", "logs", "metrics", "unset") if environment != "local" else ("full",):
            process = {**FULL}
            if name in ("metrics", "unset"):
                del process["LOKI_ENDPOINT_PANOPTES"]
            if name in ("logs", "unset"):
                process["MIMIR_ENDPOINT_PANOPTES"] = ""
            yield f"{environment}-{name}{'-https' if https else ''}", Deployment(
                environment, process, sets
            ).configuration()
    for name, sets in NEWER.items():
        yield f"default-{name}", Deployment(sets=sets).configuration()


def components(text):
    """Component name and label of every block at the top level."""
    return set(re.findall(r'^([a-z_.]+\.[a-z_.0-9]+) "([^"]+)" {', text, flags=re.M))


def block(text, name, label):
    found = re.search(rf'^{re.escape(name)} "{label}" {{.*?^}}', text, flags=re.S | re.M)
    expect(found, f"there is no {name}.{label}")
    return found.group(0)


def forward_to(text, name, label):
    return re.search(r"forward_to\s+= (\[.*?\])", block(text, name, label)).group(1)


def case_configuration_layout():
    for name, text in configurations():
        status, output = invar("fmt", text, "--test")
        expect(status == 0, f"{name} is not in the layout of `invar fmt`: {output[:500]}")


def case_configuration_validates():
    for name, text in configurations():
        status, output = invar("validate", text, "--stability.level=experimental")
        expect(status == 0, f"{name}: {output[-1500:]}")


def case_configuration_chart_example():
    with open(os.path.join(DEPLOY, "charts", "invar", "config", "example.alloy")) as file:
        text = file.read()
    for command in (("fmt", "--test"), ("validate",)):
        status, output = invar(command[0], text, *command[1:])
        expect(status == 0, output)


def case_configuration_references():
    # Every component that is referred to is there, and every one but the sources' ends is referred to.
    for name, text in configurations():
        declared = components(text)
        referred = {
            (component, label)
            for component, label in declared
            if re.search(rf"(?<![\w.]){re.escape(component)}\.{label}\.", text)
        }
        ends = {"prometheus.scrape", "loki.source.kubernetes"}
        idle = {f"{component}.{label}" for component, label in declared - referred if component not in ends}
        equal(idle, set(), f"components of {name} that nothing refers to")
        bare = re.sub(r'"(?:\\.|[^"\\])*"|`[^`]*`|//.*', '""', text)
        for reference in re.findall(r"(?<![\w.])((?:otelcol|loki|prometheus|discovery|remote)\.[a-z_.0-9]+)", bare):
            known = any(reference.startswith(f"{component}.{label}.") for component, label in declared)
            expect(
                known or any(reference == component for component, _ in declared), f"{name}: {reference} is nowhere"
            )


def case_configuration_sources():
    for name, text in configurations():
        expect(re.search(r'job_name\s+= "aistore"', block(text, "prometheus.scrape", "aistore")), f"{name}: job")
        for label in ("aistore", "kube_state_metrics", "pods"):
            found = block(text, "discovery.kubernetes", label)
            expect('"spec.nodeName=" + coalesce(sys.env("HOSTNAME"), constants.hostname)' in found, f"{name}: node")
        unix = block(text, "prometheus.exporter.unix", "node")
        for argument in ('procfs_path = "/proc"', 'sysfs_path  = "/sys"', 'rootfs_path = "/rootfs"'):
            expect(argument in unix, f"{name}: {argument} is missing")
        equal("ethtool" in unix, "ethtool" in name, f"{name} asks the network cards")
        block(text, "prometheus.exporter.cadvisor", "containers")
        equal(forward_to(text, "loki.source.kubernetes", "pods"), "[loki.process.pods.receiver]", "logs")
    text = dict(configurations())["default-ethtool-metrics"]
    expect('metrics_include = "^rx_errors$"' in text, "the choice of counters is lost")


def case_configuration_destinations():
    local = '["otelcol.receiver.prometheus.local.receiver"]'.replace('"', "")
    remote = "[otelcol.receiver.prometheus.remote.receiver]"
    both = "[otelcol.receiver.prometheus.local.receiver, otelcol.receiver.prometheus.remote.receiver]"
    push, out, otlp = (
        "loki.write.local.receiver",
        "loki.relabel.remote.receiver",
        "otelcol.receiver.loki.local.receiver",
    )
    wanted = {
        "local-full": (local, f"[{push}]"),
        "remote-full": (remote, f"[{out}]"),
        "remote-logs": ("[]", f"[{out}]"),
        "remote-metrics": (remote, "[]"),
        "remote-unset": ("[]", "[]"),
        "prod-full": (both, f"[{out}]"),
        "prod-logs": (local, f"[{out}]"),
        "prod-metrics": (both, "[]"),
        "prod-unset": (local, "[]"),
        "default-unset": (local, f"[{otlp}]"),
        "default-nothing": ("[]", "[]"),
        "default-oauth2": (both, f"[{otlp}, {out}]"),
        "default-mtls": (both, f"[{otlp}, {out}]"),
        "default-separate": (both, f"[{otlp}, {out}]"),
        "default-logs": ("[]", f"[{out}]"),
        "default-loki-push": (local, f"[{push}]"),
    }
    found = dict(configurations())
    for name, (metrics, logs) in wanted.items():
        for text in (found[name], found.get(f"{name}-https", found[name])):
            equal(forward_to(text, "prometheus.relabel", "metrics"), metrics, f"where the metrics of {name} go")
            equal(forward_to(text, "loki.relabel", "logs"), logs, f"where the logs of {name} go")


def case_configuration_endpoints():
    found = dict(configurations())
    text = found["local-full"]
    expect(
        '.svc.cluster.local:9090/api/v1/otlp/"' in block(text, "otelcol.exporter.otlphttp", "local_metrics"), "local"
    )
    expect("/loki/api/v1/push" in block(text, "loki.write", "local"), "local Loki")
    equal({name for name, _ in components(text) if "remote" in name or "auth" in name}, set(), "remote components")
    text = found["prod-full"]
    for signal, url in (("metrics", FULL["MIMIR_ENDPOINT_PANOPTES"]), ("logs", FULL["LOKI_ENDPOINT_PANOPTES"])):
        exporter = block(text, "otelcol.exporter.otlphttp", f"remote_{signal}")
        expect(f'endpoint = "{url}"' in exporter and f"{signal}_endpoint" not in exporter, f"endpoint of {signal}")
        expect("otelcol.auth.oauth2.remote.handler" in exporter, f"{signal} are sent without credentials")
    text = found["default-separate"]
    expect(f'metrics_endpoint = "{BASE}/m"' in block(text, "otelcol.exporter.otlphttp", "remote_metrics"), "metrics")
    expect(f'logs_endpoint = "{BASE}/l"' in block(text, "otelcol.exporter.otlphttp", "remote_logs"), "logs")


def case_configuration_credentials():
    found = dict(configurations())
    text = found["prod-full"]
    secret = block(text, "remote.kubernetes.secret", "remote")
    expect(f'"{REQUIRED["REMOTE_AUTH_SECRET"]}"' in secret and '"monitoring"' in secret, "wrong Secret")
    oauth2 = block(text, "otelcol.auth.oauth2", "remote")
    for key in ("azure_app_client_id", "azure_app_client_secret", "azure_token_url"):
        expect(f'data["{key}"]' in oauth2, f"{key} is not used")
    expect(
        'nonsensitive(remote.kubernetes.secret.remote.data["azure_app_client_secret"])' not in oauth2,
        "a secret is shown",
    )
    expect(f'["{REQUIRED["REMOTE_AUTH_SCOPE"]}"]' in oauth2, "wrong scope")
    text = found["default-mtls"]
    expect(not any(name == "otelcol.auth.oauth2" for name, _ in components(text)), "OAuth2 beside mTLS")
    for signal in ("metrics", "logs"):
        exporter = block(text, "otelcol.exporter.otlphttp", f"remote_{signal}")
        for argument, key in (("ca_pem", "ca.crt"), ("cert_pem", "tls.crt"), ("key_pem", "tls.key")):
            expect(re.search(rf'{argument}\s+= .*data\["{re.escape(key)}"\]', exporter), f"{key} is not used")
        expect('nonsensitive(remote.kubernetes.secret.remote.data["tls.key"])' not in exporter, "the key is shown")
    for name in ("prod-unset", "remote-unset", "default-unset"):
        expect(not any(component == "remote.kubernetes.secret" for component, _ in components(found[name])), name)


def case_configuration_cluster_label():
    found = dict(configurations())
    text = found["prod-full"]
    expect('"local"' in block(text, "otelcol.processor.attributes", "local_metrics"), "label of the local metrics")
    expect(
        '"cluster-1"' in block(text, "otelcol.processor.attributes", "remote_metrics"), "label of the remote metrics"
    )
    expect("cluster-1" in block(text, "otelcol.processor.transform", "remote_logs"), "label of the remote logs")
    text = found["default-oauth2"]
    for place in ("local", "remote"):
        expect(
            r"set(attributes[\"cluster\"], \"c\")" in block(text, "otelcol.processor.transform", f"{place}_metrics"),
            place,
        )
    expect(r"\"local\"" in block(found["default-unset"], "otelcol.processor.transform", "local_metrics"), "fallback")


def case_configuration_hostile_values():
    # What comes from outside stays within its string.
    process = {**FULL, "CLUSTER_LABEL": 'a"b\\c', "MIMIR_ENDPOINT_PANOPTES": 'http://x/"+sys.env("A")+"'}
    text = Deployment("remote", process).configuration()
    status, output = invar("fmt", text, "--test")
    expect(status == 0, f"not a configuration: {output}")
    expect(r'"http://x/\"+sys.env(\"A\")+\""' in text, "the endpoint broke out of its string")
    expect(r'"a\"b\\c"' in text, "the label broke out of its string")


def case_configuration_missing_secret():
    try:
        Deployment(sets=(f"remote.endpoint={BASE}",)).configuration()
    except Exception as error:
        expect("remote.secret" in str(error), f"fails without naming it: {error}")
    else:
        raise Failure("a remote endpoint without a Secret renders")
