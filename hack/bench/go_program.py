"""Programs of Go modules, built once per version by the ordinary Go client and kept in the cache folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hack.bench.serving.environments import MissingError, cache


@dataclass(frozen=True)
class GoProgram:
    """A program of a module and manifests that lie beside its source.

    package: folder of the program within the module. manifests: files within the module.
    """

    name: str
    module: str
    version: str
    package: str
    manifests: tuple[str, ...] = ()

    def folder(self) -> Path:
        """Return the folder with `program` and the manifests by their file names, built when missing. Raises MissingError."""
        kept = cache() / f"{self.name}-{self.version}"
        if not kept.exists():
            self._build(kept)
        return kept

    def program(self) -> Path:
        """Return the program's path. Raises MissingError."""
        return self.folder() / "program"

    def manifest_files(self) -> list[Path]:
        """Return the manifests' paths. Raises MissingError."""
        return [self.folder() / Path(one).name for one in self.manifests]

    def _build(self, kept: Path) -> None:
        go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
        if go is None:
            raise MissingError(f"{self.name} is built with Go, and there is none: install Go and put `go` in PATH")
        print(f"bench: building {self.name} {self.version}, some minutes, once", file=sys.stderr, flush=True)
        partial = kept.with_name(f".{kept.name}.{os.getpid()}")
        partial.mkdir(parents=True)
        try:
            named = f"{self.module}@{self.version}"
            source = Path(json.loads(_run([go, "mod", "download", "-json", named], partial))["Dir"])
            # Built where it lies, as its own main module: with the versions of its release and its `replace` lines.
            target = str(partial / "program")
            _run([go, "build", "-p", "1", "-trimpath", "-ldflags", "-s -w", "-o", target, self.package], source)
            for one in self.manifests:
                shutil.copyfile(source / one, partial / Path(one).name)
            partial.rename(kept)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _run(argv: list[str], folder: Path) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    done = subprocess.run(["nice", *argv], cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "no words").splitlines()[-1]
        raise MissingError(f"{' '.join(argv[1:])} ended with {done.returncode}: {words}"[:400])
    return done.stdout
