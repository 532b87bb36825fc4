"""Kubernetes and its companions, built from their Go modules into the cache, once per version."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from debian import program
from progress import Failed, locked, output, run, say, step
from settings import HERE, KUBERNETES, cache_root

KUBERNETES_MODULE = HERE / "kubernetes"
KUBERNETES_TOOLS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
}
API_SERVER = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager")


@dataclass(frozen=True)
class GoProgram:
    """A program that `go install PATH@VERSION` builds. files: those of its module that are kept beside it."""

    path: str
    version: str
    module: str = ""
    files: tuple[str, ...] = ()


PROGRAMS = {
    "contour": GoProgram(
        "github.com/projectcontour/contour/cmd/contour",
        "v1.33.8",
        "github.com/projectcontour/contour",
        ("examples/gateway/00-crds.yaml", "examples/contour/01-crds.yaml"),
    ),
    "coredns": GoProgram("github.com/coredns/coredns", "v1.15.0"),
    "helm": GoProgram("helm.sh/helm/v3/cmd/helm", "v3.22.0"),
    "metrics-server": GoProgram("sigs.k8s.io/metrics-server/cmd/metrics-server", "v0.9.0"),
    "versitygw": GoProgram("github.com/versity/versitygw/cmd/versitygw", "v1.8.0"),
}


def bin_folder() -> Path:
    """The folder with links to the built programs, fit for PATH."""
    return cache_root() / "bin"


def binary(name: str) -> str:
    """The path of a built program."""
    return str(bin_folder() / name)


def build(*names: str) -> None:
    """Build what is missing of the named programs and link it into the folder of programs."""
    kubernetes = [name for name in names if name in KUBERNETES_TOOLS and not _linked(name, _kubernetes_home())]
    others = [name for name in names if name in PROGRAMS and not _linked(name, _program_home(name))]
    if not kubernetes and not others:
        return
    with locked(cache_root() / "go.lock"):
        if absent := [name for name in kubernetes if not (_kubernetes_home() / name).exists()]:
            _build_kubernetes(absent)
        for name in others:
            if not (_program_home(name) / name).exists():
                _build_program(name)
        for name in kubernetes:
            _link(name, _kubernetes_home())
        for name in others:
            _link(name, _program_home(name))


def _kubernetes_home() -> Path:
    digest = hashlib.sha256((KUBERNETES_MODULE / "go.mod").read_bytes() + (KUBERNETES_MODULE / "go.sum").read_bytes())
    return cache_root() / "go" / f"kubernetes-{KUBERNETES}-{digest.hexdigest()[:8]}"


def _program_home(name: str) -> Path:
    return cache_root() / "go" / f"{name}-{PROGRAMS[name].version}"


def _linked(name: str, home: Path) -> bool:
    link = bin_folder() / name
    return link.is_symlink() and link.exists() and link.readlink() == home / name


def _link(name: str, home: Path) -> None:
    bin_folder().mkdir(parents=True, exist_ok=True)
    new = bin_folder() / f".{name}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(home / name)
    new.replace(bin_folder() / name)


def _go() -> str:
    go = program("go") or program("/usr/local/go/bin/go")
    if go is None:
        raise Failed("Go is missing: install Go 1.25 or newer and put `go` in PATH")
    return go


def _version_flags() -> str:
    """Linker flags that tell the binaries their version; without them clients take the server for v0.0.0."""
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    fields = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{key}={value}" for package in packages for key, value in fields.items())]
    )


def _build_kubernetes(names: list[str]) -> None:
    home = _kubernetes_home()
    home.mkdir(parents=True, exist_ok=True)
    log = cache_root() / "logs" / "build-kubernetes.log"
    say(f"    first build of Kubernetes {KUBERNETES}: about 5 minutes on 2 cores, then kept in {cache_root()}")
    # GOFLAGS of the user could say -mod=vendor or the like, which does not fit this module.
    env = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    for name in names:
        partial = home / f".{name}.new"
        with step(f"building {name}", log):
            argv = [
                _go(),
                "build",
                "-v",
                "-trimpath",
                "-ldflags",
                _version_flags(),
                "-o",
                str(partial),
                KUBERNETES_TOOLS[name],
            ]
            run(argv, log, cwd=KUBERNETES_MODULE, env=env)
        partial.replace(home / name)


def _build_program(name: str) -> None:
    source = PROGRAMS[name]
    partial = _program_home(name).with_suffix(".new")
    log = cache_root() / "logs" / f"build-{name}.log"
    shutil.rmtree(partial, ignore_errors=True)
    with step(f"building {name} {source.version}", log):
        argv = [_go(), "install", "-v", "-trimpath", "-ldflags", "-s -w", f"{source.path}@{source.version}"]
        run(argv, log, env={"CGO_ENABLED": "0", "GOBIN": str(partial), "GOFLAGS": "-buildvcs=false"})
    for file in source.files:
        downloaded = json.loads(output([_go(), "mod", "download", "-json", f"{source.module}@{source.version}"]))
        (partial / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(downloaded["Dir"]) / file, partial / file)
    partial.rename(_program_home(name))


def kept_file(name: str, file: str) -> Path:
    """The path of a file that is kept beside a built program."""
    return _program_home(name) / file


def path_with_binaries() -> str:
    """A PATH that finds the built programs first and the system's folders too."""
    return os.pathsep.join([str(bin_folder()), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
