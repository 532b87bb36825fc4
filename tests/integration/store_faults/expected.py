"""The right end of a program for each fault, call and mode."""

from __future__ import annotations

from dataclasses import dataclass

from modelmill.contracts import names
from tests.integration.store_faults.faults import Kind, Row
from tests.integration.store_faults.programs import FETCH, LOG, PUBLISH, REMOVE, SERVER_FETCH
from tests.integration.store_faults.proxy import DELETE, HEAD, LIST, PUT, Call


@dataclass(frozen=True)
class End:
    """An exit code, with its reason when it is none of success."""

    code: int
    reason: str = ""


WELL = End(0)
OUT = End(names.EXIT_RETRY, "StoreUnreachable")
REFUSALS = {
    "403": "StoreAuthFailed",
    "skewed clock": "StoreAuthFailed",
    "no bucket": "BucketNotFound",
    "permanent redirect": "StoreUnreachable",
}
# The object is another one than was said, by program.
CHANGED = {
    FETCH: End(names.EXIT_RETRY, "DataChanged"),
    PUBLISH: End(names.EXIT_RETRY, "UploadFailed"),
    SERVER_FETCH: End(names.EXIT_FINAL, "DigestMismatch"),
    REMOVE: End(names.EXIT_FINAL, "ArtifactOfAnother"),
}
CHAMPION = End(names.EXIT_FINAL, "ChampionCorrupt")


def expected(program: str, call: Call, row: Row, always: bool) -> End:
    """Return the right end."""
    if program == LOG or row.kind == Kind.HARMLESS:
        return WELL  # the payload log counts what it cannot store
    if row.kind == Kind.REFUSAL:
        return _refused(call, row, always)
    if not always:
        return WELL
    return _lasting(program, call, row)


def _refused(call: Call, row: Row, always: bool) -> End:
    if call.operation == LIST and call.name == "models first" and row.name in ("403", "permanent redirect"):
        return WELL  # whoever may write need not be allowed to list
    if call.operation == HEAD and row.name != "permanent redirect":
        return WELL  # a missing object looks like this where listing is not allowed, and the write tells the truth
    if row.name == "permanent redirect" and not always:
        return WELL  # the client asks for the region, and then there
    return End(names.EXIT_FINAL, REFUSALS[row.name])


def _lasting(program: str, call: Call, row: Row) -> End:
    first = call.operation == LIST and call.name.endswith(" first")
    if call.name == "models first" or (first and row.name in ("endless", "another ETag")):
        return WELL  # of this page nothing is used
    if call.operation == PUT and row.name in ("409", "412"):
        # It means that the object is there; the second one asks whether the store says so.
        return WELL if call.number == 2 else CHANGED[program]
    if call.operation == PUT and row.name == "short":
        return WELL  # only a refusal has a body, and its status says enough
    if row.kind == Kind.OUTAGE:
        return OUT
    if program == FETCH and call.name.startswith("models/"):
        if row.name == "another ETag" or call.name.endswith(f"/{names.ROWS_FILE}"):
            return WELL
        return CHAMPION
    if row.name == "another ETag" and program != FETCH:
        return WELL
    if row.name == "412" and (program == PUBLISH or call.operation == DELETE):
        return CHANGED[FETCH]
    return CHANGED[program]
