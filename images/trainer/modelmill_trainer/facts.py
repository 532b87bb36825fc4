"""What fetch finds out about the data: data.json for evaluate, publish and the artifact, params.json for the train stage."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelmill.contracts.result import DataFacts
from modelmill.contracts.snapshot import SnapshotObject
from modelmill_trainer.failure import StageError

FACTS_VERSION = 1
MAX_WINDOW = 300


ObjectFacts = SnapshotObject
"""One object of the data. name: relative to the data's URI, or the URI's last part; size in bytes; sha256 in hex."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The data of a run.

    digest: over every object's name, size and content. features: columns to train on; kinds: of every column, the excluded ones
    too. missing: by feature, rows without a value. rows, holdout_rows: to train on and to measure on; dropped_rows: without a
    target. holdout: how the rows to measure on were chosen, for people; notes: what was left out and why.
    train_sha256: of the file with the rows to train on, `sha256:` + hex. copied: the store has a copy of the objects.
    window: which part of the data these rows are, for people; empty when they are all. compared: what the data gates compared
    them with, and drift: what they told, for people. prepared: digest of the files that a prepare stage made of the objects.
    script: digest of the script that trains on them.
    """

    uri: str
    holdout_uri: str | None
    format: str
    digest: str
    objects: tuple[ObjectFacts, ...]
    holdout_objects: tuple[ObjectFacts, ...]
    target: str
    features: tuple[str, ...]
    excluded: tuple[str, ...]
    kinds: dict[str, str]
    missing: dict[str, int]
    rows: int
    holdout_rows: int
    dropped_rows: int
    holdout: str
    notes: tuple[str, ...]
    train_sha256: str
    copied: bool = False
    window: str = ""
    compared: str = ""
    drift: tuple[str, ...] = ()
    prepared: str = ""
    script: str = ""
    v: int = FACTS_VERSION

    def row_kinds(self) -> dict[str, str]:
        """Return the columns whose values make a row what it is, with their kinds: features and target."""
        return {name: self.kinds[name] for name in (*self.features, self.target)}

    def told(self) -> DataFacts:
        """Return what the run's result says about the data."""
        return DataFacts(
            self.digest, self.rows, self.holdout_rows, self.copied, self.window[:MAX_WINDOW], self.prepared, self.script
        )


def write_facts(facts: Facts, path: Path) -> None:
    """Write data.json."""
    path.write_text(json.dumps(asdict(facts)), encoding="utf-8")


def read_facts(path: Path) -> Facts:
    """Return what data.json says. Raises StageError (InputMissing)."""
    raw = _document(path)
    try:
        lists = {name: tuple(raw[name]) for name in ("features", "excluded", "notes")} | {
            "drift": tuple(raw.get("drift", ()))
        }
        objects = {name: tuple(ObjectFacts(**item) for item in raw[name]) for name in ("objects", "holdout_objects")}
        return Facts(**(raw | lists | objects))
    except (KeyError, TypeError) as error:
        raise _strange(path, error) from None


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the train stage is told. features: kind by column, in order. form: of the file with the rows."""

    form: str
    features: dict[str, str]
    target: str
    target_kind: str


def read_training_facts(path: Path) -> TrainingFacts:
    """Return what params.json says. Raises StageError (InputMissing)."""
    raw = _document(path)
    try:
        return TrainingFacts(
            form=raw["format"],
            features={item["name"]: item["kind"] for item in raw["features"]},
            target=raw["target"],
            target_kind=raw["target_kind"],
        )
    except (KeyError, TypeError) as error:
        raise _strange(path, error) from None


def _document(path: Path) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StageError("InputMissing", f"{path.parent} has no {path.name}: run the fetch stage first") from None
    except (ValueError, RecursionError) as error:
        raise _strange(path, error) from None
    if not isinstance(raw, dict) or raw.get("v") != FACTS_VERSION:
        raise _strange(path, ValueError(f"not version {FACTS_VERSION}"))
    return raw


def _strange(path: Path, error: Exception) -> StageError:
    said = f"{path.name} is not what the fetch stage wrote ({type(error).__name__}: {error})"
    return StageError("InputMissing", f"{said}: run the fetch stage again, and leave the file as it is")
