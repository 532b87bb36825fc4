"""Render manifests/install.yaml from the Helm chart; with --check only compare and exit 1 on a difference.

Needs helm: from PATH, or as `python3 hack/cluster bin` built it. Without helm there is nothing to compare with, and --check
says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from hack.generated import ROOT, keep

CHART = ROOT / "charts" / "modelmill"
TARGET = ROOT / "manifests" / "install.yaml"
NAMESPACE = "modelmill-system"
KUBERNETES = "1.31.0"  # the oldest that is supported; a helm built from source takes the cluster for v1.20
TOKEN_SECRET = "modelmill-operator-alerts"
HEADER = f"""\
# Rendered from charts/modelmill by `make generate`. Install with
#   kubectl apply --server-side -f install.yaml
# and let alerts in by giving them a token, the same that Alertmanager sends:
#   kubectl -n {NAMESPACE} create secret generic {TOKEN_SECRET} --from-literal=token="$(openssl rand -hex 24)"
"""
HELM_LABELS = ("app.kubernetes.io/managed-by", "helm.sh/chart")


def find_helm() -> str | None:
    """Return the path of helm, or None."""
    cache = Path(os.environ.get("MODELMILL_CACHE") or "~/.cache/modelmill").expanduser()
    built = cache / "bin" / "helm"
    return shutil.which("helm") or (str(built) if built.exists() else None)


def render(helm: str) -> str:
    """Return the text of install.yaml: the chart with its default values, without what only Helm needs."""
    arguments = [
        "--namespace",
        NAMESPACE,
        "--kube-version",
        KUBERNETES,
        "--set",
        f"alerts.tokenSecretName={TOKEN_SECRET}",
    ]
    done = subprocess.run(
        [helm, "template", "modelmill", str(CHART), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    namespace: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    # The order in which they may be applied: a namespace and the kinds first.
    objects.sort(key=lambda one: one["kind"] != "CustomResourceDefinition")
    return HEADER + yaml.safe_dump_all(
        [namespace, *map(_without_helm, objects)], sort_keys=False, width=120, allow_unicode=True, explicit_start=True
    )


def _without_helm(one: dict[str, Any]) -> dict[str, Any]:
    meta = one["metadata"]
    meta.get("annotations", {}).pop("helm.sh/resource-policy", None)
    if not meta.get("annotations", True):
        del meta["annotations"]
    template = one.get("spec", {}).get("template", {}).get("metadata", {})
    for labels in (meta.get("labels", {}), template.get("labels", {})):
        for name in HELM_LABELS:
            labels.pop(name, None)
    return one


def main() -> int:
    """Return 0 when the file is up to date or was written."""
    helm = find_helm()
    if helm is None:
        print("helm is not there, so manifests/install.yaml was not looked at: python3 hack/cluster bin builds it")
        return 0 if "--check" in sys.argv else 1
    return keep({TARGET: render(helm)})


if __name__ == "__main__":
    sys.exit(main())
