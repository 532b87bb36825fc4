"""kubectl and helm, as a user would type them, against the cluster that the demo was told to use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class CommandFailed(Exception):
    """A command ended with another code than 0; the text has its last lines."""


@dataclass(frozen=True)
class Kube:
    """Where the cluster is: environment for kubectl and helm, and what `hack/cluster status` says."""

    environment: dict[str, str]
    status: dict[str, Any]

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, env=self.environment, cwd=ROOT, check=False
        )
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()[-8:]
            raise CommandFailed(f"{' '.join(command[:6])}: " + "\n".join(lines))
        return done.stdout

    def get(self, *what: str) -> dict[str, Any] | None:
        """Return an object as JSON, None when it does not exist."""
        text = self.run("kubectl", "get", *what, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def watch_events(self, namespace: str) -> tuple[subprocess.Popen[str], Iterator[dict[str, Any]]]:
        """Return the process and the Events of the namespace as they happen."""
        process = subprocess.Popen(
            ["kubectl", "get", "events.events.k8s.io", "-n", namespace, "--watch", "-o", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )
        return process, _documents(process)


def connect() -> Kube:
    """Return the cluster of the repository's tool. Raises CommandFailed when it is not up."""
    tool = [os.environ.get("SYSTEM_PYTHON", "python3"), "hack/cluster"]

    def ask(*words: str) -> str:
        done = subprocess.run([*tool, *words], capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            raise CommandFailed(f"hack/cluster {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()

    status = json.loads(ask("status", "--json"))
    environment = {**os.environ, "PATH": f"{ask('bin')}:{os.environ['PATH']}"}
    if status.get("kubeconfig"):
        environment["KUBECONFIG"] = status["kubeconfig"]
    return Kube(environment, status)


def _documents(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Yield the JSON documents of a stream that separates them by nothing but their end."""
    text, decoder = "", json.JSONDecoder()
    assert process.stdout is not None
    for line in process.stdout:
        text += line
        if line.rstrip("\n") != "}":
            continue
        try:
            document, end = decoder.raw_decode(text.lstrip())
        except ValueError:
            continue
        text = text.lstrip()[end:]
        yield document


def fail(message: str) -> int:
    """Say what went wrong; return the exit code."""
    print(f"\nThe demo stopped: {message}", file=sys.stderr)
    return 1
