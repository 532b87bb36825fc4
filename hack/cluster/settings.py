"""Names, folders, addresses and versions of the test cluster."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "v1.34.4"
DEFAULT_NAME = "modelmill"
NODE_ADDRESS = "172.30.0.1"
NODE_BRIDGE = "mmnode0"
POD_BRIDGE = "mmpods0"
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
API_PORT = 6443
CNI_BIN = "/usr/lib/cni"
PAUSE_IMAGE = "localhost/modelmill-pause:1"

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent


def is_root() -> bool:
    """Whether this process may create networks, mounts and containers."""
    return os.geteuid() == 0


def state_root() -> Path:
    """The folder that holds one folder of state per cluster (`MODELMILL_STATE`)."""
    default = "/var/lib/modelmill" if is_root() else "~/.local/state/modelmill"
    return Path(os.environ.get("MODELMILL_STATE") or default).expanduser().resolve()


def cache_root() -> Path:
    """The folder of built binaries, wheels and image layers (`MODELMILL_CACHE`); survives `down`."""
    return Path(os.environ.get("MODELMILL_CACHE") or "~/.cache/modelmill").expanduser().resolve()


def images_env() -> Path:
    """The file with `NAME=IMAGE:TAG` lines of the images built last."""
    return state_root() / "images.env"


def write_changed(path: Path, text: str) -> Path:
    """Write a file of private settings unless it says that already: kube-proxy ends itself when its file is written."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
    return path


@dataclass(frozen=True)
class Layout:
    """Where one cluster keeps its files."""

    name: str

    @property
    def root(self) -> Path:
        return state_root() / self.name

    @property
    def lock(self) -> Path:
        return state_root() / f"{self.name}.lock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.root / "audit" / "audit.log"

    @property
    def containerd_socket(self) -> Path:
        return self.root / "containerd" / "containerd.sock"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    def folder(self, *parts: str) -> Path:
        """A folder under the root, made when missing."""
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path


def chosen_cluster() -> tuple[str, str]:
    """`bare` or `current`, and the reason for the choice (environment variable `CLUSTER`)."""
    wanted = os.environ.get("CLUSTER", "")
    if wanted in {"bare", "current"}:
        return wanted, f"CLUSTER={wanted} is set"
    if wanted:
        raise SystemExit(f"CLUSTER={wanted} is not known; use CLUSTER=bare or CLUSTER=current")
    if platform.system() == "Linux" and is_root():
        return "bare", "this is Linux and you are root; CLUSTER=current would use your kubeconfig's context"
    return "current", "a bare cluster needs Linux and root; CLUSTER=bare would insist"
