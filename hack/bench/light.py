"""The light API server with the operator's kinds and permissions installed, and its audit log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "modelmill-system"
USER = f"system:serviceaccount:{NAMESPACE}:modelmill-operator"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


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

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl as administrator; return what it printed. Raises CalledProcessError."""
        cache = Path(os.environ.get("MODELMILL_CACHE") or "~/.cache/modelmill").expanduser()
        argv = [str(cache / "bin" / "kubectl"), f"--kubeconfig={self.admin}", *arguments]
        return subprocess.run(argv, input=text, check=True, capture_output=True, text=True).stdout

    def install(self, folder: Path) -> Path:
        """Install the kinds and the operator's permissions; return a kubeconfig in `folder` with the operator's identity."""
        self.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        documents = yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text())
        unwanted = ("CustomResourceDefinition", "Deployment", "Service", "Secret")
        kept = [one for one in documents if one and one["kind"] not in unwanted]
        self.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(kept))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        return self.operator_login(folder / "operator.kubeconfig")

    def operator_login(self, path: Path) -> Path:
        """Write a kubeconfig with the operator's identity and a token of its own, which the audit log names; return it."""
        token = self.kubectl("-n", NAMESPACE, "create", "token", "modelmill-operator", "--duration=24h").strip()
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


class AuditLog:
    """What the operator asked of the API server since a mark."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = 0
        self.mark()

    def mark(self) -> None:
        """Count from here on."""
        self._mark = self._path.stat().st_size if self._path.exists() else 0

    def requests(self) -> Iterator[Mapping[str, Any]]:
        """Yield the operator's requests since the mark."""
        with self._path.open("rb") as file:
            file.seek(self._mark)
            for line in file:
                if USER.encode() in line and line.endswith(b"\n"):
                    entry = json.loads(line)
                    if entry["user"]["username"] == USER:
                        yield entry

    def writes(self) -> Counter[str]:
        """Return the writes since the mark by resource, Lease renewals left out."""
        return Counter(
            "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
            for entry in self.requests()
            if entry["verb"] in WRITES and (reference := entry["objectRef"])["resource"] != "leases"
        )

    def write_lines(self) -> list[str]:
        """Return the writes since the mark as readable lines, for messages."""
        return [
            f"{entry['verb']} {entry['requestURI']} {entry.get('responseStatus', {}).get('code')}"
            for entry in self.requests()
            if entry["verb"] in WRITES and entry["objectRef"]["resource"] != "leases"
        ]

    def write_times(self) -> dict[str, list[str]]:
        """Return when writes came since the mark, in RFC 3339 and UTC, by the token that they came with; Leases left out."""
        times: dict[str, list[str]] = {}
        for entry in self.requests():
            if entry["verb"] in WRITES and entry["objectRef"]["resource"] != "leases":
                (token,) = entry["user"]["extra"]["authentication.kubernetes.io/credential-id"]
                times.setdefault(token, []).append(entry["requestReceivedTimestamp"])
        return times


def _tool(*arguments: str, check: bool = True) -> str:
    argv = [sys.executable, str(ROOT / "hack" / "cluster"), *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()
