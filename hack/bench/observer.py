"""Watches kinds and writes down when each object was first seen: `observer.py KUBECONFIG FILE NAMESPACE GROUP/VERSION/PLURAL…`.

A process of its own, so that the load it watches does not delay it. Each line of FILE: plural, name, owner's name, seconds
(monotonic clock, the same for all processes of the machine). One line `ready` is printed when all watches are open.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))

import aiohttp

from modelmill.engine.client import Client
from modelmill.engine.login import login
from modelmill.kube.objects import Resource


async def watch(client: Client, resource: Resource, namespace: str, out: TextIO, opened: asyncio.Event) -> None:
    """Write a line for each object that is added from now on."""
    _, version = await client.list(resource, namespace)
    query = {"watch": "true", "resourceVersion": version}
    timeout = aiohttp.ClientTimeout(total=None)
    url = client.server + resource.path(namespace)
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
                event = json.loads(line)
                if event["type"] == "ADDED":
                    meta = event["object"]["metadata"]
                    owner = next((one["name"] for one in meta.get("ownerReferences") or ()), "-")
                    out.write(f"{resource.plural} {meta['name']} {owner} {now:.6f}\n")
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
        watches.append(asyncio.create_task(watch(client, resource, namespace, out, event)))
    for event in opened:
        await event.wait()
    print("ready", flush=True)
    await asyncio.gather(*watches)


if __name__ == "__main__":
    os.environ["KUBECONFIG"] = sys.argv[1]
    with Path(sys.argv[2]).open("w") as sightings:
        asyncio.run(main(sightings, sys.argv[3], sys.argv[4:]))
