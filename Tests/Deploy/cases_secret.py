"""Deploy/vault/rotate-secret.sh: real jq, recorded calls in place of Vault and the cluster."""

import base64
import json
import os
import subprocess
import tempfile

from binary import Skip
from helmfile import DEPLOY
from manifests import equal, expect

SCRIPT = os.path.join(DEPLOY, "vault", "rotate-secret.sh")
OAUTH2 = {
    "azure_app_client_id": "id-1",
    "azure_app_client_secret": "s3cr3t \"'$x\n",
    "azure_token_url": "https://t/x",
}
MTLS = {"ca.crt": "CA", "tls.crt": "CRT", "tls.key": "KEY-1"}
VARIABLES = {"VAULT_ALLOY_SECRET": "kv/alloy", "LOCAL_ALLOY_SECRET": "alloy-secret"}

# Each appends its arguments and its input to the record, and answers as told.
RECORDER = """#!/bin/sh
input=
case "$*" in *--filename*) input=$(cat) ;; esac
printf '%s\\t%s\\n' "{name} $*" "$input" >>"$RECORD"
{answer}
"""
KUBECTL = 'case "$1" in get) exit "$EXISTS" ;; esac'
VAULT = 'cat "$ANSWER"'


def rotate(answer, *flags, exists=True, variables=None):
    """Runs the script: exit status, its output, and the calls it made as (arguments, input)."""
    if subprocess.run(["jq", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("jq does not run")
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (("kubectl", KUBECTL), ("vault", VAULT)):
            path = os.path.join(directory, name)
            with open(path, "w") as file:
                file.write(RECORDER.format(name=name, answer=text))
            os.chmod(path, 0o755)
        with open(os.path.join(directory, "answer"), "w") as file:
            file.write(answer if isinstance(answer, str) else json.dumps(answer))
        record = os.path.join(directory, "record")
        open(record, "w").close()
        environment = {
            "PATH": directory + ":" + os.environ["PATH"],
            "RECORD": record,
            "EXISTS": "0" if exists else "1",
            "ANSWER": os.path.join(directory, "answer"),
            **(VARIABLES if variables is None else variables),
        }
        done = subprocess.run(
            [SCRIPT, *flags],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        with open(record) as file:
            calls = [tuple(line.rstrip("\n").split("\t", 1)) for line in file]
    return done.returncode, done.stdout, calls


def cluster(calls):
    return [call for call in calls if call[0].startswith("kubectl ")]


def data(call):
    manifest = json.loads(call[1])
    equal((manifest["kind"], manifest["type"]), ("Secret", "Opaque"), "object")
    equal(manifest["metadata"], {"name": "alloy-secret", "namespace": "monitoring"}, "metadata")
    return {key: base64.b64decode(value).decode() for key, value in manifest["data"].items()}


def case_secret_replaced_without_a_gap():
    status, output, calls = rotate(OAUTH2)
    equal(status, 0, f"status ({output})")
    equal(calls[0][0], "vault kv get -format json -field data kv/alloy", "call of Vault")
    equal([call[0].split()[1] for call in cluster(calls)], ["get", "replace"], "calls of kubectl")
    equal(data(calls[-1]), OAUTH2, "data")
    status, output, calls = rotate(MTLS, exists=False)
    equal([call[0].split()[1] for call in cluster(calls)], ["get", "create"], "calls of kubectl")
    equal(data(calls[-1]), MTLS, "data")


def case_secret_recreated():
    status, output, calls = rotate(OAUTH2, "--recreate")
    equal(status, 0, f"status ({output})")
    equal(
        cluster(calls)[0][0],
        "kubectl delete secret alloy-secret --namespace monitoring --ignore-not-found",
        "deletion",
    )
    equal(cluster(calls)[1][0], "kubectl create --filename -", "creation")
    equal(data(calls[-1]), OAUTH2, "data")


def case_secret_extra_keys():
    extra = {**OAUTH2, "note": "kept", "number": 7, "nested": {"a": [1]}, "flag": False, "bad key!": "x"}
    status, output, calls = rotate(extra)
    equal(status, 0, f"status ({output})")
    written = data(calls[-1])
    equal(
        (written["note"], written["number"], written["nested"], written["flag"]),
        ("kept", "7", '{"a":[1]}', "false"),
        "extra",
    )
    expect("bad key!" not in written and "bad key!" in output, "the impossible key is not left out with a word")


def case_secret_never_shown():
    for flags in ((), ("--recreate",)):
        _, output, calls = rotate(OAUTH2, *flags)
        for arguments, _ in calls:
            expect("s3cr3t" not in arguments, f"a credential is an argument: {arguments}")
        expect("s3cr3t" not in output, "a credential is printed")


def case_secret_incomplete_touches_nothing():
    for answer in (
        {},
        [],
        "not json",
        {"azure_app_client_id": "x"},
        {**OAUTH2, "azure_token_url": ""},
        {"tls.key": "k"},
    ):
        for flags in ((), ("--recreate",)):
            status, output, calls = rotate(answer, *flags)
            expect(status != 0, f"{answer} was accepted")
            equal(cluster(calls), [], f"calls of kubectl for {answer}")
            expect("kv/alloy" in output, f"the message does not name the path: {output}")


def case_secret_required_variables():
    for name in VARIABLES:
        status, output, calls = rotate(
            OAUTH2, variables={key: value for key, value in VARIABLES.items() if key != name}
        )
        expect(status != 0 and name in output, f"{name} is not asked for: {output}")
        equal(calls, [], "calls")
    status, output, calls = rotate(OAUTH2, "--what")
    expect(status != 0 and not calls, "an unknown flag is accepted")
    status, _, calls = rotate(OAUTH2, variables={**VARIABLES, "NAMESPACE": "other"})
    equal(json.loads(calls[-1][1])["metadata"]["namespace"], "other", "namespace")
