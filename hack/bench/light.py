"""The light API server with the operator's kinds and permissions installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "modelmill-system"
USER = f"system:serviceaccount:{NAMESPACE}:modelmill-operator"


@dataclass(frozen=True)
class LightServer:
    """An API server that `hack/cluster apiserver` runs. admin: kubeconfig that may do everything."""

    name: str
    admin: Path
    audit_log: Path
    started_here: bool

    @classmethod
    def up(cls, name: str, *options: str) -> LightServer:
        """Bring it up, or take the one of this name that runs."""
        before = _tool("apiserver", "status", "--name", name, check=False)
        running = bool(before) and json.loads(before)["healthy"]
        _tool("apiserver", "up", "--name", name, *options)
        status = json.loads(_tool("apiserver", "status", "--name", name))
        return cls(name, Path(status["kubeconfig"]), Path(status["audit_log"]), not running)

    def down(self) -> None:
        """End it when this process brought it up."""
        if self.started_here:
            _tool("apiserver", "down", "--name", self.name)

    def binary(self, name: str) -> Path:
        """Return the path of a program of Kubernetes."""
        cache = Path(os.environ.get("MODELMILL_CACHE") or "~/.cache/modelmill").expanduser()
        return cache / "bin" / name

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl as administrator; return what it printed. Raises CalledProcessError."""
        argv = [str(self.binary("kubectl")), f"--kubeconfig={self.admin}", *arguments]
        return subprocess.run(argv, input=text, check=True, capture_output=True, text=True).stdout

    def install(self, folder: Path) -> Path:
        """Install the kinds and the operator's permissions; return a kubeconfig in `folder` with the operator's identity."""
        self.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        documents = yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text())
        unwanted = ("CustomResourceDefinition", "Deployment", "Service", "Secret")
        kept = [one for one in documents if one and one["kind"] not in unwanted]
        self.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(kept))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        return self.login_as("modelmill-operator", folder / "operator.kubeconfig")

    def administrator(self, namespace: str, name: str, folder: Path) -> Path:
        """Make a service account that may do everything; return a kubeconfig in `folder` with its identity."""
        self.new_namespace(namespace)
        account = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        documents = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"{namespace}-{name}"},
                "roleRef": role,
                "subjects": [account],
            },
        ]
        self.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(documents))
        return self.login_as(name, folder / f"{name}.kubeconfig", namespace)

    def login_as(self, account: str, path: Path, namespace: str = NAMESPACE) -> Path:
        """Write a kubeconfig of a service account, with a token of its own, which the audit log names; return its path."""
        token = self.kubectl("-n", namespace, "create", "token", account, "--duration=24h").strip()
        config = yaml.safe_load(self.admin.read_text())
        for user in config["users"]:
            user["user"] = {"token": token}
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    def new_namespace(self, name: str) -> str:
        """Make the namespace unless it is there; return its name."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.kubectl("apply", "--server-side", "-f", "-", text=json.dumps(body))
        return name


def _tool(*arguments: str, check: bool = True) -> str:
    argv = [sys.executable, str(ROOT / "hack" / "cluster"), *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()
