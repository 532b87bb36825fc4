"""The peers' programs: how each is built, what must be installed for it, and how it is started."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import time
from pathlib import Path

from hack.bench.go_program import GoProgram
from hack.bench.light import LightServer
from hack.bench.program import Program

NAMESPACE = "bench-peers"
NO_LIMIT = "100000"
THREADS = "10"
"""Workers of each peer's controller: what Argo Rollouts has by default."""

TRAINING_OPERATOR = GoProgram(
    "training-operator",
    "github.com/kubeflow/training-operator",
    "v1.9.3",
    "./cmd/training-operator.v1",
    ("manifests/base/crds/kubeflow.org_pytorchjobs.yaml",),
)
ARGO_ROLLOUTS = GoProgram(
    "argo-rollouts",
    "github.com/argoproj/argo-rollouts",
    "v1.9.1",
    "./cmd/rollouts-controller",
    tuple(
        f"manifests/crds/{name}-crd.yaml"
        for name in ("rollout", "experiment", "analysis-run", "analysis-template", "cluster-analysis-template")
    ),
)
CERTIFICATE_SECRET = "training-operator-webhook-cert"
# Both fixed in the training operator's source.
CERTIFICATE_FOLDER = Path("/tmp/k8s-webhook-server/serving-certs")
WEBHOOK_CONFIGURATION = "validator.training-operator.kubeflow.org"


def user(name: str) -> str:
    """Return the name by which the API server knows a peer."""
    return f"system:serviceaccount:{NAMESPACE}:{name}"


def job_controller(server: LightServer, folder: Path) -> Program:
    """Start kube-controller-manager with the Job controller alone."""
    kubeconfig = server.administrator(NAMESPACE, "job-controller", folder)
    argv = [
        str(server.binary("kube-controller-manager")),
        f"--kubeconfig={kubeconfig}",
        "--controllers=job-controller",
        f"--concurrent-job-syncs={THREADS}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--kube-api-qps={NO_LIMIT}",
        f"--kube-api-burst={NO_LIMIT}",
    ]
    return Program(argv, os.environ, folder / "job-controller.log")


def argo_rollouts(server: LightServer, folder: Path) -> Program:
    """Start Argo Rollouts' controller."""
    kubeconfig = server.administrator(NAMESPACE, ARGO_ROLLOUTS.name, folder)
    argv = [
        str(ARGO_ROLLOUTS.program()),
        f"--kubeconfig={kubeconfig}",
        f"--qps={NO_LIMIT}",
        f"--burst={NO_LIMIT}",
        f"--rollout-threads={THREADS}",
        "--leader-elect=false",
        f"--metricsPort={_free_port()}",
        f"--healthzPort={_free_port()}",
    ]
    return Program(argv, os.environ, folder / "argo-rollouts.log")


class TrainingOperator(Program):
    """Kubeflow's training operator v1, its PyTorchJob controller alone, with no webhook registered.

    It waits for files of a certificate that it has written into a Secret, which a kubelet would bring there.
    """

    def __init__(self, server: LightServer, folder: Path) -> None:
        kubeconfig = server.administrator(NAMESPACE, TRAINING_OPERATOR.name, folder)
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": CERTIFICATE_SECRET, "namespace": NAMESPACE},
        }
        webhooks = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": WEBHOOK_CONFIGURATION},
        }
        for one in (secret, webhooks):
            server.kubectl("apply", "--server-side", "-f", "-", text=json.dumps(one))
        argv = [
            str(TRAINING_OPERATOR.program()),
            "--enable-scheme=pytorchjob",
            f"--controller-threads={THREADS}",
            f"--kube-api-qps={NO_LIMIT}",
            f"--kube-api-burst={NO_LIMIT}",
            "--metrics-bind-address=0",
            "--health-probe-bind-address=0",
            f"--webhook-server-port={_free_port()}",
            f"--webhook-secret-name={CERTIFICATE_SECRET}",
        ]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "MY_POD_NAMESPACE": NAMESPACE, "TMPDIR": "/tmp"}
        if CERTIFICATE_FOLDER.exists():
            raise FileExistsError(f"{CERTIFICATE_FOLDER} is another program's: remove it or end that program")
        super().__init__(argv, environment, folder / "training-operator.log")
        self._bring_certificate(server)

    def _bring_certificate(self, server: LightServer, seconds: float = 30) -> None:
        limit = time.monotonic() + seconds
        query = ("get", "secret", CERTIFICATE_SECRET, "-n", NAMESPACE, "-o", "json")
        while not (data := json.loads(server.kubectl(*query)).get("data")):
            if time.monotonic() > limit or not self.alive():
                self.kill()
                raise TimeoutError(f"the training operator wrote no certificate; {self.tail()}")
            time.sleep(0.2)
        CERTIFICATE_FOLDER.mkdir(parents=True)
        # The certificate is what is waited for, so it comes last.
        for name in sorted(data, key="tls.crt".__eq__):
            (CERTIFICATE_FOLDER / name).write_bytes(base64.b64decode(data[name]))

    def kill(self) -> None:
        """Send SIGKILL."""
        super().kill()
        _remove_certificate()

    def terminate(self, seconds: float = 30) -> int:
        """Send SIGTERM and return the exit code."""
        code = super().terminate(seconds)
        _remove_certificate()
        return code


def _remove_certificate() -> None:
    shutil.rmtree(CERTIFICATE_FOLDER, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
