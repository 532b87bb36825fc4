"""A cluster that exists already: the one that the kubeconfig's current context names."""

from __future__ import annotations

import os
from pathlib import Path

from debian import program
from gateway import gateway_endpoint
from imagebuild import recorded_images
from progress import Failed, output
from services import endpoints


def kubeconfig() -> Path:
    """The first file of `KUBECONFIG`, or the one in the home folder."""
    return Path(os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or "~/.kube/config").expanduser()


def check() -> str:
    """The name of the current context, whose cluster answered.

    Raises:
        Failed: there is no context, or its cluster does not answer.
    """
    kubectl = program("kubectl")
    if kubectl is None:
        raise Failed("kubectl is missing; CLUSTER=current needs it")
    context = output([kubectl, "config", "current-context"]).strip()
    output([kubectl, "--request-timeout=10s", "get", "--raw", "/readyz"])
    return context


def status() -> dict[str, object]:
    """The context, and where the test services answer when they are in the cluster."""
    return {
        "name": check(),
        "healthy": True,
        "kubeconfig": str(kubeconfig()),
        "audit_log": None,
        "images": recorded_images(),
        **endpoints(kubeconfig()),
        **gateway_endpoint(kubeconfig()),
    }
