"""All gates over the data of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from modelmill.contracts import names
from modelmill.contracts.data import Schema
from modelmill.contracts.stage import Champion, Data
from modelmill_trainer.artifact_folder import verified_manifest
from modelmill_trainer.data_gates.drift import compare_values
from modelmill_trainer.data_gates.finding import Finding
from modelmill_trainer.data_gates.given import compare_given
from modelmill_trainer.data_gates.leak import leaks
from modelmill_trainer.data_gates.structure import compare_columns
from modelmill_trainer.data_gates.summary import MAX_BYTES, Summary, of_signature, parse_summary, summary_of
from modelmill_trainer.failure import rejected
from modelmill_trainer.kinds import EMPTY
from modelmill_trainer.plain_files import NotPlain, read_plain
from modelmill_trainer.tables import Table


@dataclass(frozen=True, slots=True)
class Reference:
    """Data of the last good version. version: its name. taken: columns that its model takes. summary: None when it has none.

    why: what is wrong with it, for people.
    """

    version: str = ""
    taken: frozenset[str] = frozenset()
    summary: Summary | None = None
    why: str = "there is no approved version to compare with"


@dataclass(frozen=True, slots=True)
class Examined:
    """What the gates found. compared: what with, or why with nothing, for people."""

    summary: Summary
    findings: tuple[Finding, ...]
    compared: str

    def require(self) -> None:
        """Raise StageError (SchemaViolated) when a finding stops the run; each is a sentence that names its columns."""
        stopping = [one.text for one in self.findings if one.stops]
        if stopping:
            raise rejected("SchemaViolated", *stopping)

    def told(self) -> tuple[str, ...]:
        """Return what lets the run go on and is worth knowing, a sentence for each gate."""
        return tuple(one.text for one in self.findings if not one.stops)

    def keep(self, path: Path) -> None:
        """Write schema.json, or leave it out when the names of the columns make it too large."""
        content = self.summary.encode()
        if content is None:
            print(f"fetch: there is no {path.name}: the columns are too many, or their names too long", flush=True)
        else:
            path.write_bytes(content)


def examine(table: Table, data: Data, copies: float, reference: Reference) -> Examined:
    """Return what the gates say about the rows of a run. copies: share of the rows that are equal to an earlier one.

    With columns in data.schema these decide, and what differs from the last good version's data is told; without, its columns
    decide. data.schema.onViolation Warn lets everything go on.
    """
    schema = data.schema or Schema()
    features = frozenset(
        str(name) for name in table.frame.columns
        if name != data.target and name not in data.exclude and table.kinds[name] != EMPTY
    )  # fmt: skip
    summary = summary_of(table, data.target, features, copies)
    before, compared = _comparable(reference, data.target)
    findings = compare_given(table, schema, (data.target, *data.exclude))
    if before is not None:
        differing = compare_columns(summary, before, reference.version, reference.taken, data.exclude)
        if schema.unexpected == "Allow":
            differing = [one for one in differing if one.gate != "UnexpectedColumn"]
        findings += [replace(one, stops=not schema.columns) for one in differing]
    findings += leaks(summary, before, reference.version)
    if before is not None:
        findings += compare_values(table, summary, before, reference.version)
    if schema.on_violation == "Warn":
        findings = [replace(one, stops=False) for one in findings]
    return Examined(summary, tuple(findings), compared)


def _comparable(reference: Reference, target: str) -> tuple[Summary | None, str]:
    summary = reference.summary
    if summary is None:
        return None, reference.why
    if summary.target not in ("", target):
        return None, f"{reference.version} predicts {summary.target}: its data are not compared"
    if not summary.rows:
        return summary, f"compared with the columns of {reference.version}, whose values are not known"
    return summary, f"compared with the data of {reference.version}, {summary.rows} rows"


def reference_of(champion: Champion | None, folder: Path) -> Reference:
    """Return what the champion's artifact says about its data; a damaged schema.json is no reason to end the run."""
    if champion is None:
        return Reference()
    manifest = verified_manifest(champion, folder)
    taken = frozenset(str(one.name) for one in manifest.signature.inputs)
    path = folder / names.SCHEMA_FILE
    if not path.exists():
        return Reference(champion.name, taken, of_signature(manifest))
    try:
        return Reference(champion.name, taken, parse_summary(read_plain(path, MAX_BYTES)))
    except (NotPlain, ValueError) as error:
        return Reference(
            champion.name, taken, None, f"the {names.SCHEMA_FILE} of {champion.name} says nothing: {error}"
        )
