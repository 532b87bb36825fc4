"""Servers that run, and the proof that they answer what scikit-learn answers."""

from __future__ import annotations

import http.client
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from hack.bench.serving.catalogue import Peer, Start
from hack.bench.serving.dialects import Dialect, Request
from hack.bench.serving.environments import MissingError
from hack.bench.serving.grpc_load import OPTIONS
from hack.bench.serving.models import NAME, Model
from hack.bench.serving.processes import Tree

START_SECONDS = 90.0
CHECKED_ROWS = 100  # of all classes: one row alone could be right by chance
TOLERANCE = 1e-5  # of a probability: models are served in single precision


class WrongAnswerError(Exception):
    """A server answers something else than scikit-learn."""


@dataclass
class Running:
    """One server with its model."""

    peer: Peer
    model: Model
    tree: Tree
    port: int
    grpc_port: int

    def request(self, dialect: Dialect, rows: int) -> Request:
        """Return the request for the model's first rows, which are repeated when there are not enough."""
        return dialect.make(NAME, self.model.features, np.resize(self.model.rows, (rows, self.model.rows.shape[1])))

    def send(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers in lower case, and body; of a call, 200 or the words of its code."""
        if request.grpc:
            return self._call(request)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", request.path, request.body, request.headers)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def _call(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", OPTIONS) as channel:
            try:
                return 200, {}, channel.unary_unary(request.path)(request.body, timeout=60)
            except grpc.RpcError as error:
                return 500, {}, f"{error.code()}: {error.details()}".encode()

    def require_right(self, dialect: Dialect, rows: int) -> None:
        """Ask for these rows and compare. Raises WrongAnswerError."""
        status, headers, body = self.send(self.request(dialect, rows))
        if status != 200:
            raise WrongAnswerError(f"{self.peer.title} answers {status} to {dialect.title}: {body[:300]!r}")
        if self.peer.constant:
            return
        found = dialect.read(headers, body)
        asked = np.resize(self.model.rows, (rows, self.model.rows.shape[1]))
        expected = self.model.estimator.predict(asked)
        if not np.array_equal(found.labels, expected):
            raise WrongAnswerError(
                f"{self.peer.title}, {dialect.title}, {rows} rows: the labels are not scikit-learn's"
            )
        if found.probabilities is not None:
            off = np.abs(found.probabilities - self.model.estimator.predict_proba(asked)).max()
            if not off <= TOLERANCE:
                raise WrongAnswerError(f"{self.peer.title}, {dialect.title}: a probability is off by {off:.2g}")


def start(peer: Peer, model: Model, core: int, folder: Path) -> Running:
    """Start a server, wait until it answers, and compare its answer to many rows. Raises MissingError, WrongAnswerError."""
    own = folder / f"{peer.name}-{model.name}"
    own.mkdir()
    programs = peer.programs()
    began = Start(model, own, _free_ports(3))
    tree = Tree(peer.command(programs, began), core, own / "log", peer.environment(began), own)
    running = Running(peer, model, tree, *began.ports[:2])
    try:
        _wait(running)
        running.require_right(peer.json, min(len(model.rows), CHECKED_ROWS))
    except BaseException:
        tree.stop()
        raise
    return running


def _wait(running: Running) -> None:
    request, limit = running.request(running.peer.json, 1), time.monotonic() + START_SECONDS
    last = "no connection"
    while True:
        try:
            status, _, body = running.send(request)
            if status == 200:
                return
            last = f"{status} {body[:100]!r}"
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
        if running.tree.process.poll() is not None:
            raise MissingError(f"it ended with {running.tree.process.returncode}: {running.tree.tail()}")
        if time.monotonic() > limit:
            raise MissingError(
                f"no answer within {START_SECONDS:.0f} s, at last {last}; its log: {running.tree.tail()}"
            )
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
