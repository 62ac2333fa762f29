"""Renders Deploy/helmfile.yaml.gotmpl without helmfile: the subset of its language that the file uses.

Templates are evaluated by Helm's own engine. What helmfile adds to it is put in its terms first: `env` and
`requiredEnv` become look-ups in the values, `.Environment` lies under `.Values`.
"""

import copy
import os
import re
import tempfile

import helm_python
import yaml

DEPLOY = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "Deploy")


class RenderError(Exception):
    """A template did not render; the message is the engine's."""


def evaluate(text, process, environment):
    """The text of a .gotmpl file, evaluated for an environment with the given process variables."""

    def in_action(match):
        action = match.group(0)
        action = re.sub(
            r'\brequiredEnv\s+"([^"]+)"',
            r'(required "required env var `\1` is not set" (get .Values.process "\1"))',
            action,
        )
        action = re.sub(r'\benv\s+"([^"]+)"', r'(get .Values.process "\1")', action)
        return re.sub(r"(?<![\w.])\.Environment\b", ".Values.Environment", action)

    text = re.sub(r"{{.*?}}", in_action, text, flags=re.S)
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(os.path.join(directory, "templates"))
        with open(os.path.join(directory, "Chart.yaml"), "w") as file:
            file.write("apiVersion: v2\nname: gotmpl\nversion: 0.1.0\n")
        with open(os.path.join(directory, "templates", "document.yaml"), "w") as file:
            file.write(text)
        try:
            with helm_python.Chart.load(directory) as chart:
                rendered = chart.render(
                    {"process": process, "Environment": environment}, name="gotmpl", namespace="default"
                )
        except helm_python.HelmError as error:
            raise RenderError(str(error)) from error
    return rendered["gotmpl/templates/document.yaml"]


def merge(base, over):
    """Maps are merged, everything else is replaced, as values files of a release are."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            value = merge(result[key], value)
        result[key] = value
    return result


class Deployment:
    """The releases of the helmfile for one environment."""

    def __init__(self, name="default", process=None, sets=(), environment_values=None, folder=DEPLOY):
        self.folder = folder
        self.process = dict(process or {})
        self.sets = sets
        with open(os.path.join(folder, "helmfile.yaml.gotmpl")) as file:
            head, body = re.split(r"^---\s*$", file.read(), maxsplit=1, flags=re.M)
        declared = yaml.safe_load(evaluate(head, self.process, {"Name": name, "Values": {}}))["environments"]
        if name not in declared:
            raise RenderError(f"environment {name} is not declared")
        values = {}
        for entry in (declared[name] or {}).get("values", []):
            values = merge(values, entry)
        self.environment = {"Name": name, "Values": merge(values, environment_values or {})}
        self.environments = sorted(declared)
        self.releases = {
            release["name"]: release
            for release in yaml.safe_load(evaluate(body, self.process, self.environment))["releases"]
        }

    def values(self, release):
        """The values of a release: its files in order, then --set."""
        result = {}
        for entry in self.releases[release]["values"]:
            result = merge(result, entry if isinstance(entry, dict) else self.read(entry))
        for expression in self.sets:
            result = merge(result, helm_python.parse_set_string(expression))
        return result

    def read(self, path):
        with open(os.path.join(self.folder, path)) as file:
            text = file.read()
        if path.endswith(".gotmpl"):
            text = evaluate(text, self.process, self.environment)
        return yaml.safe_load(text) or {}

    def objects(self, release):
        """The objects of a release."""
        entry = self.releases[release]
        chart = os.path.normpath(os.path.join(self.folder, entry["chart"]))
        return render(chart, self.values(release), release, entry["namespace"])

    def configuration(self):
        """The text of config.alloy as the collectors get it."""
        (config_map,) = self.objects("alloy-config")
        return config_map["data"]["config.alloy"]


def render(chart, values, name="alloy", namespace="monitoring"):
    """The objects a chart makes of values; the notes are left out."""
    try:
        with helm_python.Chart.load(chart) as loaded:
            files = loaded.render(copy.deepcopy(values), name=name, namespace=namespace)
    except helm_python.HelmError as error:
        raise RenderError(str(error)) from error
    documents = []
    for path in sorted(files):
        if not path.endswith("NOTES.txt"):
            documents += [document for document in yaml.safe_load_all(files[path]) if document]
    return documents


def notes(chart, values, name="alloy", namespace="monitoring"):
    """What a user reads after an installation."""
    with helm_python.Chart.load(chart) as loaded:
        files = loaded.render(values, name=name, namespace=namespace)
    return next(text for path, text in files.items() if path.endswith("NOTES.txt"))
