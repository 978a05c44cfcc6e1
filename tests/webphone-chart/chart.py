"""Renders the chart and finds things in what comes out."""

import functools
import json
import os
import subprocess
from pathlib import Path

import kubernetes_validate.utils
import yaml
from packaging.version import Version

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHART = ROOT / "deploy/helm/webphone"
HELM = os.environ.get("HELM", str(HERE / "node_modules/.bin/helm"))
HELM_SECONDS = 20

# What has no default and has to be given.
ESSENTIALS = {
    "image": {"repository": "registry.example.com/webrtc/webrtc-sip-gateway"},
    "webphone": {"webrtcService": "gateways"},
    "ingress": {"host": "webphone.example.com"},
}

KUBERNETES = [v for v in kubernetes_validate.utils.all_versions() if Version(v) >= Version("1.28")]

# It would read the same megabytes of schemas for each object.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


class Refused(Exception):
    """Helm didn't take the values; its text says why."""


def over(base, values):
    """`values` laid over `base`, as Helm does it; `base` is left as it is."""
    if not isinstance(base, dict) or not isinstance(values, dict):
        return values
    return {**base, **{key: over(base.get(key), value) for key, value in values.items()}}


def helm(*arguments, values):
    """What Helm prints, given `values` as a file (of JSON, which is YAML that nobody reads otherwise)."""
    command = [HELM, *arguments, "--values", "-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, timeout=HELM_SECONDS)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def render(values=None, release="page", essentials=True):
    """The objects by kind: there is at most one of each."""
    values = over(ESSENTIALS, values or {}) if essentials else values or {}
    text = helm("template", release, str(CHART), "--namespace", "webrtc", values=values)
    objects = [document for document in yaml.safe_load_all(text) if document]
    by_kind = {document["kind"]: document for document in objects}
    assert len(by_kind) == len(objects), "two objects of one kind"
    return by_kind


def pod(objects):
    """The pod's specification."""
    return objects["Deployment"]["spec"]["template"]["spec"]


def container(objects):
    """The pod's only container."""
    (only,) = pod(objects)["containers"]
    return only
