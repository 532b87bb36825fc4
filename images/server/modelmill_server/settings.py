"""What the environment and the command line set. Limits have defaults that suit a small pod."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelmill.contracts import names
from modelmill_server.failure import StartError

ENV_HELD_BYTES = "MODELMILL_HELD_BYTES"
BATCHING_AUTO, BATCHING_ON, BATCHING_OFF = "auto", "on", "off"
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")
HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|[0-9A-Fa-f:.]{2,45}")
HELD_BYTES = 256 * 1024 * 1024  # without a memory limit
HELD_SHARE = 4  # a part of so much of the memory limit
MAX_CONNECTIONS = 8192


@dataclass(frozen=True, slots=True)
class Settings:
    """How one server runs.

    model_name, model_version: as in the URL paths and metric labels; None takes the manifest's.
    max_request_bytes, max_rows, max_concurrent: requests beyond them get 413, 413 and 503.
    drift_features: how many features are counted, most important first.
    drain_seconds: longest time in which requests are still taken after SIGTERM. body_seconds: time a body may take to arrive.
    load_seconds: time that loading may take, and warming up again. row_seconds: time that each golden row may take.
    request_seconds: time that a call of the model may take.
    idle_seconds: time in which a connection must have sent the head of its next request.
    held_bytes: of unanswered HTTP requests, of all connections together. connections: of HTTP, at once.
    batching: auto (where the warm-up measures a gain), on or off. grpc_port: 0 for none.
    trusted_types: what a skops file may hold beside the usual. allow_python: artifacts of Python code may be executed.
    shadow_url: where requests are mirrored to. shadow_file: tells whether, and how many; None for never.
    feedback_key: what the ids of answers are signed with; None takes a key from the artifact.
    feedback_peers: names or addresses of the servers that share the labels, this one among them, on the same port.
    """

    folder: Path
    host: str = "0.0.0.0"  # noqa: S104 - a pod's server listens on the pod's address
    port: int = names.HTTP_PORT
    digest: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    max_request_bytes: int = 16 * 1024 * 1024
    max_rows: int = 10_000
    max_concurrent: int = 256
    drift_features: int = 10
    warmup_requests: int = 10
    drain_seconds: int = 15
    load_seconds: int = 100
    row_seconds: int = 5
    request_seconds: int = 60
    body_seconds: int = 30
    idle_seconds: int = 65
    held_bytes: int = HELD_BYTES
    connections: int = MAX_CONNECTIONS
    batching: str = BATCHING_AUTO
    grpc_port: int = 0
    feedback_key: str | None = None
    feedback_peers: tuple[str, ...] = ()
    shadow_url: str | None = None
    shadow_file: Path | None = None
    trusted_types: tuple[str, ...] = ()
    allow_python: bool = False
    threads: int = 1


def from_environment(
    environ: Mapping[str, str],
    folder: str | None,
    host: str,
    port: int,
    grpc_port: int | None = None,
    trusted_types: Sequence[str] = (),
) -> Settings:
    """Return the settings; types of the command line are added to those of the environment.

    Raises StartError (ConfigInvalid) naming the variable that has no usable value.
    """
    folder = folder or environ.get(names.ENV_MODEL_FOLDER)
    if not folder:
        raise StartError("ConfigInvalid", f"no artifact folder: give it as an argument or in {names.ENV_MODEL_FOLDER}")
    return Settings(
        folder=Path(folder),
        host=host,
        port=port,
        digest=environ.get(names.ENV_ARTIFACT_DIGEST) or None,
        model_name=environ.get(names.ENV_MODEL_NAME) or None,
        model_version=environ.get(names.ENV_MODEL_VERSION) or None,
        max_request_bytes=number(environ, names.ENV_MAX_REQUEST_BYTES, 16 * 1024 * 1024, 1),
        max_rows=number(environ, names.ENV_MAX_ROWS, 10_000, 1),
        max_concurrent=number(environ, names.ENV_MAX_CONCURRENT, 256, 1),
        drift_features=number(environ, names.ENV_DRIFT_FEATURES, 10, 0),
        warmup_requests=number(environ, names.ENV_WARMUP_REQUESTS, 10, 0),
        drain_seconds=number(environ, names.ENV_DRAIN_SECONDS, 15, 0),
        load_seconds=number(environ, names.ENV_LOAD_SECONDS, 100, 1),
        row_seconds=number(environ, names.ENV_ROW_SECONDS, 5, 1),
        request_seconds=number(environ, names.ENV_REQUEST_SECONDS, 60, 1),
        body_seconds=number(environ, names.ENV_BODY_SECONDS, 30, 1),
        idle_seconds=number(environ, names.ENV_IDLE_SECONDS, 65, 1),
        held_bytes=number(environ, ENV_HELD_BYTES, held_bytes(), 64 * 1024),
        connections=number(environ, names.ENV_MAX_CONNECTIONS, MAX_CONNECTIONS, 1),
        batching=_choice(environ, names.ENV_BATCHING, (BATCHING_AUTO, BATCHING_ON, BATCHING_OFF)),
        grpc_port=number(environ, names.ENV_GRPC_PORT, 0, 0) if grpc_port is None else grpc_port,
        trusted_types=(*_names(environ, names.ENV_SKOPS_TRUSTED), *trusted_types),
        allow_python=_choice(environ, names.ENV_ALLOW_PYTHON, ("0", "1")) == "1",
        feedback_key=environ.get(names.ENV_FEEDBACK_KEY) or None,
        feedback_peers=tuple(_hosts(environ, names.ENV_FEEDBACK_PEERS)),
        shadow_url=environ.get(names.ENV_SHADOW_URL) or None,
        shadow_file=Path(environ[names.ENV_SHADOW_FILE]) if environ.get(names.ENV_SHADOW_FILE) else None,
        threads=cpu_threads(),
    )


def cpu_threads(path: Path = CPU_MAX) -> int:
    """Return the whole CPUs of the container's limit; 1 without a limit, so that a pod does not spread over its node.

    Source: cgroup v2 `cpu.max`, "QUOTA PERIOD" in microseconds or "max PERIOD".
    """
    try:
        quota, period = path.read_text(encoding="ascii").split()
        limit = int(quota) // int(period) if quota != "max" else 1
    except (OSError, ValueError):
        return 1
    return max(1, min(limit, os.cpu_count() or 1))


def memory_limit(path: Path = MEMORY_MAX) -> int | None:
    """Return the container's memory limit in bytes, None without one. Source: cgroup v2 `memory.max`, bytes or "max"."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def held_bytes(path: Path = MEMORY_MAX) -> int:
    """Return a quarter of the container's memory limit: the rest is for the model, and for what a body becomes."""
    limit = memory_limit(path)
    return HELD_BYTES if limit is None else limit // HELD_SHARE


def _choice(environ: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Return the value, the first choice when there is none."""
    value = environ.get(name) or choices[0]
    if value not in choices:
        raise StartError("ConfigInvalid", f"{name} is {value!r}: it must be one of {', '.join(choices)}")
    return value


def _names(environ: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in environ.get(name, "").split(",") if part.strip()]


def _hosts(environ: Mapping[str, str], name: str) -> list[str]:
    """Return names or addresses. Raises StartError (ConfigInvalid) naming the variable, for what no host can be called."""
    hosts = _names(environ, name)
    for host in hosts:
        if HOST.fullmatch(host) is None:
            raise StartError("ConfigInvalid", f"{name} has {host[:100]!r}: it must be names or addresses, with commas")
    return hosts


def number(environ: Mapping[str, str], name: str, default: int, least: int) -> int:
    """Return a whole number of the environment. Raises StartError (ConfigInvalid) naming the variable."""
    text = environ.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise StartError("ConfigInvalid", f"{name} is {text!r}: it must be a whole number") from None
    if value < least:
        raise StartError("ConfigInvalid", f"{name} is {value}: it must be at least {least}")
    return value
