"""A closed loop of gRPC calls: the same bytes over and over, one call at a time on each connection.

Prints one line of JSON as post.lua does for wrk: requests, seconds, p50 and p99 in µs, and the calls that failed. Answers are
not parsed. It is Python itself and does some thousands of calls a second: it shows a server's CPU time, not its highest rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

import grpc

OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


async def run(address: str, path: str, body: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Return what is printed."""
    durations: list[float] = []
    failed = 0

    async def one(place: int) -> None:
        nonlocal failed
        # Channels of the same options would share a connection.
        async with grpc.aio.insecure_channel(address, [*OPTIONS, ("modelmill.place", place)]) as channel:
            call = channel.unary_unary(path)
            while time.perf_counter() < end:
                begin = time.perf_counter()
                try:
                    await call(body, timeout=30)
                except grpc.RpcError:
                    failed += 1
                durations.append(time.perf_counter() - begin)

    began = time.perf_counter()
    end = began + seconds
    await asyncio.gather(*(one(place) for place in range(connections)))
    spent = time.perf_counter() - began
    durations.sort()
    quantiles = {f"p{percent}": 1e6 * durations[len(durations) * percent // 100] for percent in (50, 99)}
    return {"requests": len(durations), "seconds": spent, **quantiles, "not_2xx": failed, "broken": 0}


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="grpc_load.py", description=__doc__)
    parser.add_argument("--address", required=True, help="HOST:PORT")
    parser.add_argument("--path", required=True, help="/SERVICE/METHOD")
    parser.add_argument("--body", required=True, type=Path, help="file with the request's bytes")
    parser.add_argument("--connections", required=True, type=int)
    parser.add_argument("--seconds", required=True, type=float)
    given = parser.parse_args()
    print(
        json.dumps(
            asyncio.run(run(given.address, given.path, given.body.read_bytes(), given.connections, given.seconds))
        )
    )


if __name__ == "__main__":
    main()
