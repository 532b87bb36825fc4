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

    name: str
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


async def watch(
    client: Client, resource: Resource, namespace: str, out: TextIO, opened: asyncio.Event, *, statuses: bool
) -> None:
    """Write a line for each object that is added from now on and, when asked, for the first status of each."""
    _, version = await client.list(resource, namespace)
    query = {"watch": "true", "resourceVersion": version}
    timeout = aiohttp.ClientTimeout(total=None)
    url = client.server + resource.path(namespace)
    seen: set[str] = set()
    async with client.session.get(url, params=query, timeout=timeout) as response:
        response.raise_for_status()
        opened.set()
        buffer = bytearray()
        async for chunk in response.content.iter_any():
            now = time.monotonic()
            buffer += chunk
            *lines, rest = buffer.split(b"\n")
            buffer = bytearray(rest)
            for line in lines:
                event = DECODER.decode(line)
                name, status = event.object.metadata.name, event.object.status
                if event.type == "ADDED":
                    owner = next((one.name for one in event.object.metadata.owner_references), "-")
                    out.write(f"seen {resource.plural} {name} {owner} {now:.6f}\n")
                if statuses and name not in seen and (status.conditions or status.start_time):
                    seen.add(name)
                    out.write(f"status {resource.plural} {name} - {now:.6f}\n")
            out.flush()
    raise RuntimeError(f"the watch of {resource.plural} ended: what came later was not seen")


async def main(out: TextIO, namespace: str, kinds: list[str]) -> None:
    """Watch until the process is ended."""
    client = Client(login())
    opened = [asyncio.Event() for _ in kinds]
    watches = []
    for kind, event in zip(kinds, opened, strict=True):
        group, version, plural = kind.split("/")
        resource = Resource(group, version, plural, plural)
        watches.append(asyncio.create_task(watch(client, resource, namespace, out, event, statuses=kind == kinds[0])))
    for event in opened:
        await event.wait()
    print("ready", flush=True)
    await asyncio.gather(*watches)


if __name__ == "__main__":
    os.environ["KUBECONFIG"] = sys.argv[1]
    with Path(sys.argv[2]).open("w") as sightings:
        asyncio.run(main(sightings, sys.argv[3], sys.argv[4:]))
