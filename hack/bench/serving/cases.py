"""What is measured: which servers, asked what, over how many connections."""

from __future__ import annotations

from dataclasses import dataclass

from hack.bench.serving import dialects
from hack.bench.serving.catalogue import FASTAPI, HELLO, HELLO_GRPC, OURS, OURS_GRPC, PEERS, PROTOCOL, Peer
from hack.bench.serving.dialects import Dialect

WIDE_ROWS = 4096  # of 64 features: 1 MiB in single precision
CONNECTIONS = 16
ONE_ROW, SPREAD, FOREST, WIDE, GRPC, GRPC_WIDE = "one", "spread", "forest", "wide", "grpc", "grpc-wide"
NEAR_HELLO = (ONE_ROW, f"{SPREAD}64")  # where our one row is compared with the bare protocol's hello
TUNED = (OURS, FASTAPI, "mlserver", "kserve", "litserve", "bentoml")


@dataclass(frozen=True)
class Line:
    """One line of a table."""

    peer: Peer
    dialect: Dialect


@dataclass(frozen=True)
class Case:
    """One table. model: of `models.make`; rows: in each request."""

    name: str
    title: str
    model: str
    rows: int
    connections: int
    lines: tuple[Line, ...]


def _json(*names: str) -> tuple[Line, ...]:
    return tuple(Line(PEERS[name], PEERS[name].json) for name in names)


def _grpc_cases() -> list[Case]:
    both = [
        Line(PEERS[name], dialect) for name in (OURS_GRPC, "mlserver") for dialect in (dialects.GRPC, dialects.GRPC_RAW)
    ]
    wide = f"gRPC, {WIDE_ROWS} rows of 64 features (1 MiB as FP32)"
    return [
        Case(GRPC, "gRPC, one row", "linear", 1, CONNECTIONS, (*both, Line(PEERS[HELLO_GRPC], dialects.GRPC))),
        Case(GRPC_WIDE, wide, "wide", WIDE_ROWS, 4, tuple(both)),
    ]


def cases(names: list[str]) -> list[Case]:
    """Return the cases with the lines of these peers; a case without any is left out."""
    ours, kserve, fastapi = PEERS[OURS], PEERS["kserve"], PEERS[FASTAPI]
    others = tuple(name for name in PEERS if name not in (*TUNED, OURS_GRPC, HELLO_GRPC))
    one = (
        *_json(*TUNED, *others),
        Line(ours, dialects.V2_ALL),
        Line(ours, dialects.V2_COLUMNS),
        Line(ours, dialects.V1),
        Line(kserve, dialects.V1),
        Line(fastapi, dialects.PLAIN_ON_THREAD),
        Line(PEERS["fastapi-default"], dialects.PLAIN_ON_THREAD),
    )
    found = [Case(ONE_ROW, "One row, logistic regression on iris", "linear", 1, CONNECTIONS, one)]
    for connections in (1, 4, 64):
        title = f"One row, {connections} connection{'s' if connections > 1 else ''}"
        found.append(
            Case(f"{SPREAD}{connections}", title, "linear", 1, connections, _json(OURS, FASTAPI, HELLO, PROTOCOL))
        )
    found.append(Case("rows", "64 rows, logistic regression on iris", "linear", 64, CONNECTIONS, _json(*TUNED)))
    found.append(Case(FOREST, "One row, forest of 100 trees", "forest", 1, CONNECTIONS, _json(OURS, FASTAPI)))
    binary = tuple(Line(peer, peer.binary) for peer in (ours, kserve) if peer.binary is not None)
    wide = (*binary, *_json(OURS, FASTAPI, "mlserver", "kserve"), Line(ours, dialects.V1))
    found.append(Case(WIDE, f"{WIDE_ROWS} rows of 64 features (1 MiB as FP32)", "wide", WIDE_ROWS, 4, wide))
    found += _grpc_cases()
    kept = [Case(**{**vars(case), "lines": tuple(x for x in case.lines if x.peer.name in names)}) for case in found]
    return [case for case in kept if case.lines]
