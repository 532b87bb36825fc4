"""Counting writes in the audit log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from hack.bench.audit import AuditLog, Tally, entries, tally

USER = "system:serviceaccount:system:operator"


def line(
    verb: str, resource: str | None, *, sub: str = "", code: int = 200, user: str = USER, say: str = ""
) -> dict[str, Any]:
    reference = {"resource": resource, **({"subresource": sub} if sub else {})}
    entry = {"verb": verb, "user": {"username": user}, "responseStatus": {"code": code}, "requestURI": f"/x?{say}"}
    return entry | ({"objectRef": reference} if resource else {})


def lines(*found: dict[str, Any]) -> list[bytes]:
    return [json.dumps(one).encode() + b"\n" for one in found]


def test_writes_are_counted_by_resource_and_by_answer() -> None:
    found = tally(
        [
            line("create", "jobs", code=201),
            line("update", "trainingjobs", sub="status"),
            line("update", "trainingjobs", sub="status", code=409),
            line("create", "events", code=201),
            line("list", "jobs"),
            line("watch", "jobs"),
        ]
    )
    assert found == Tally(
        Counter({"jobs": 1, "trainingjobs/status": 1, "events": 1}), Counter({"trainingjobs/status": 1})
    )
    assert (found.writes(), found.events(), found.refusals(), found.total()) == (2, 1, 1, 4)


def test_leases_and_requests_without_an_object_are_no_writes() -> None:
    assert tally([line("update", "leases"), line("create", None)]).total() == 0


def test_tallies_add_up() -> None:
    one = tally([line("create", "jobs"), line("patch", "pods", code=403)])
    assert one + one == Tally(Counter({"jobs": 2}), Counter({"pods": 2}))


def test_only_this_users_whole_lines_are_read() -> None:
    mine, theirs = line("create", "jobs"), line("create", "jobs", user="admin", say=USER)
    assert list(entries([*lines(theirs, mine), lines(mine)[0][:-5]], USER)) == [mine]


def test_a_log_is_read_from_the_mark_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path, USER)
    path.write_bytes(lines(line("create", "jobs"))[0])
    assert log.tally().writes() == 1
    log.mark()
    with path.open("ab") as file:
        file.writelines(lines(line("delete", "pods", code=404)))
    assert log.tally() == Tally(Counter(), Counter({"pods": 1}))
    assert log.write_lines() == ["delete /x? 404"]
