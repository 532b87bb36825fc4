"""Watches kinds: `observer.py KUBECONFIG FILE NAMESPACE GROUP/VERSION/PLURAL…`.

Writes down when each object was first seen, and when each object of the first kind was first seen with a status. A process of
its own, so that the load it watches does not delay it. Lines of FILE: see sightings.py; seconds are of the monotonic clock,
which is the same for all processes of the machine. One line `ready` is printed when all watches are open.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))

import aiohttp
import msgspec

from modelmill.engine.client import Client
from modelmill.engine.login import login
from modelmill.kube.objects import Resource


class Owner(msgspec.Struct):
    """An owner reference."""

    name: str


class Meta(msgspec.Struct, rename="camel"):
    """What is read of an object's metadata."""

    name: str = ""
    resource_version: str = ""
    owner_references: list[Owner] = []


class Status(msgspec.Struct, rename="camel", frozen=True):
    """What is read of a status: one that its controller has written has conditions, a Job's the moment of its start."""

    conditions: list[Any] = []
    start_time: str | None = None


class Observed(msgspec.Struct):
    """What is read of an object."""

    metadata: Meta
    status: Status = Status()


class Event(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: Observed


DECODER = msgspec.json.Decoder(Event)


class Watch:
    """One kind's watch. statuses: whether the first status of each object is written down too."""

    def __init__(self, client: Client, resource: Resource, namespace: str, out: TextIO, *, statuses: bool) -> None:
        self.opened = asyncio.Event()
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._out = out
        self._statuses = statuses
        self._with_status: set[str] = set()
        self._version = ""

    async def run(self) -> None:
        """Watch until the process is ended. Raises RuntimeError when events are lost."""
        _, self._version = await self._client.list(self._resource, self._namespace)
        url = self._client.server + self._resource.path(self._namespace)
        timeout = aiohttp.ClientTimeout(total=None)
        # The API server ends a watch whose reader falls behind; the next one goes on where it ended.
        while True:
            query = {"watch": "true", "resourceVersion": self._version}
            async with self._client.session.get(url, params=query, timeout=timeout) as response:
                response.raise_for_status()
                self.opened.set()
                buffer = bytearray()
                async for chunk in response.content.iter_any():
                    now = time.monotonic()
                    buffer += chunk
                    *lines, rest = buffer.split(b"\n")
                    buffer = bytearray(rest)
                    for line in lines:
                        self._see(DECODER.decode(line), now)
                    self._out.flush()

    def _see(self, event: Event, now: float) -> None:
        if event.type == "ERROR":
            raise RuntimeError(f"the watch of {self._resource.plural} lost events")
        meta, status = event.object.metadata, event.object.status
        self._version = meta.resource_version
        if event.type == "ADDED":
            owner = next((one.name for one in meta.owner_references), "-")
            self._out.write(f"seen {self._resource.plural} {meta.name} {owner} {now:.6f}\n")
        written = status.conditions or status.start_time
        if self._statuses and written and meta.name not in self._with_status:
            self._with_status.add(meta.name)
            self._out.write(f"status {self._resource.plural} {meta.name} - {now:.6f}\n")


async def main(out: TextIO, namespace: str, kinds: list[str]) -> None:
    """Watch until the process is ended."""
    client = Client(login())
    watches = []
    for kind in kinds:
        group, version, plural = kind.split("/")
        resource = Resource(group, version, plural, plural)
        watches.append(Watch(client, resource, namespace, out, statuses=kind == kinds[0]))
    running = [asyncio.create_task(one.run()) for one in watches]
    for one in watches:
        await one.opened.wait()
    print("ready", flush=True)
    await asyncio.gather(*running)


if __name__ == "__main__":
    os.environ["KUBECONFIG"] = sys.argv[1]
    with Path(sys.argv[2]).open("w") as sightings:
        asyncio.run(main(sightings, sys.argv[3], sys.argv[4:]))
