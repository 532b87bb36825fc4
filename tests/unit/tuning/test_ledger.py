"""The ledger: its texts, its size, and what somebody may do to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from modelmill.tuning.ledger import Entry, Header, Ledger, decode, encode
from modelmill.tuning.pruning import MOST_POINTS

HEADER = Header("abc", "sha256:" + "a" * 64, 100, 20)


def ledger(count: int) -> Ledger:
    entries = (
        Entry(
            place, {"alpha": "0.5", "kind": "16"}, state="Succeeded", value=0.25 * place, metrics={"r2": 0.25 * place}
        )
        for place in range(count)
    )
    return Ledger(HEADER, tuple(entries))


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_what_was_written_is_read(count: int) -> None:
    shards = encode(ledger(count))
    assert len(shards) == max(1, -(-count // 100))
    assert decode(shards) == ledger(count)


def test_what_did_not_change_is_written_as_it_was() -> None:
    before = decode(encode(ledger(250)))
    assert before is not None
    after = before.changed(Entry(250, {"alpha": "1"}))
    assert encode(after, before) == encode(after)
    assert decode(encode(after, before)) == after


def test_a_ledger_of_5000_trials_is_over_no_limit() -> None:
    """5,000 trials in one object are over etcd's limit; a ConfigMap takes 1 MiB."""
    full = Entry(
        0,
        {f"{place:064}": "x" * 200 for place in range(32)},
        metrics={f"{place:064}": -1.2345678901234567e-100 for place in range(8)},
        message="m" * 256,
        reason="R" * 64,
        started="2026-01-02T03:04:05Z",
        finished="2026-01-02T03:04:05Z",
        model="a" * 64,
    ).with_reports({10**9 - place: -1.2345678901234567e-100 for place in range(MOST_POINTS)})
    shards = encode(Ledger(HEADER, tuple(replace(full, index=place) for place in range(5000))))
    assert len(shards) == 50
    assert max(sum(len(key) + len(text.encode()) for key, text in shard.items()) for shard in shards) < 1 << 20
    typical = encode(ledger(100))[0]
    assert sum(map(len, typical.values())) < 34_000


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"index":1}', '{"index":"0","parameters":{}}', '{"index":1,"parameters":{},"state":"Odd"}',
     '{"index":1,"parameters":{"a":5},"state":"Running"}', '{"index":1,"parameters":{},"state":"Succeeded"}',
     '{"index":1,"parameters":{},"state":"Succeeded","value":NaN}', '{"index":7,"parameters":{},"state":"Running"}',
     '{"index":1,"parameters":{},"state":"Running","model":"A"}', '{"index":1,"parameters":{},"state":"Running","model":7}',
     '{"index":1,"parameters":{},"state":"Succeeded","value":' + "9" * 400 + "}",
     '{"index":1,"parameters":{},"state":"Failed","reason":["x"]}', '{"index":1,"parameters":{},"state":"Failed","message":[]}',
     '{"index":1,"parameters":{},"state":"Running","started":[1]}',
     '{"index":1,"parameters":{"a":"\\ud800"},"state":"Running"}',
     '{"index":1,"parameters":{},"state":"Running","attempt":1' + "0" * 36 + "}",
     '{"index":1,"parameters":{},"state":"Running","attempt":true}', "[" * 5000],
)  # fmt: skip
def test_a_damaged_entry_is_told(text: str) -> None:
    shards = [dict(shard) for shard in encode(ledger(3))]
    shards[0]["00001"] = text
    found = decode(shards)
    assert found is not None
    assert "trial 1" in found.damaged
    assert len(found.entries) == 1


@pytest.mark.parametrize("header", [None, "", "{", "[]", "null", "{}"])
def test_without_its_header_there_is_no_ledger(header: str | None) -> None:
    shards = [dict(shard) for shard in encode(ledger(3))]
    if header is None:
        del shards[0]["search"]
    else:
        shards[0]["search"] = header
    assert decode(shards) is None


@pytest.mark.parametrize(
    "change",
    [{"carried": "x"}, {"carried": -1}, {"end": ["x"]}, {"end": "two words"}, {"message": {}}, {"digest": "sha256:5b"},
     {"rows": 10**30}, {"holdout_rows": None}, {"generation": 5}],
)  # fmt: skip
def test_a_header_that_nobody_of_ours_wrote_is_none(change: dict[str, Any]) -> None:
    shards = [dict(shard) for shard in encode(ledger(3))]
    shards[0]["search"] = json.dumps({**json.loads(shards[0]["search"]), **change})
    assert decode(shards) is None


def test_the_best_of_equals_is_the_first() -> None:
    values = [0.5, 0.9, 0.9, 0.1]
    entries = [Entry(place, {}, state="Succeeded", value=value) for place, value in enumerate(values)]
    found = Ledger(HEADER, (*entries, Entry(4, {}, state="Failed")))
    assert [one.index for one in found.ranked("Maximize")] == [1, 2, 0, 3]
    assert [one.index for one in found.ranked("Minimize")] == [3, 0, 1, 2]
