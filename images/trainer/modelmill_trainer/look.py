"""A look at the data: which objects, and how many rows, came since the last run read its data.

The memory is what fetch has left in the store (`remember`). A run that did not get so far has left none: then what was
written after it began is new.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from modelmill.contracts.look import (
    MAX_LISTING,
    ListedObject,
    Seen,
    listing_digest,
    listing_document,
    listing_folder,
    parse_listing,
)
from modelmill.contracts.stage import Look, StageSpec
from modelmill.store.uri import join
from modelmill_trainer.counting import count_rows
from modelmill_trainer.failure import StageError
from modelmill_trainer.object_window import ObjectWindow
from modelmill_trainer.snapshot import Fetched, data_objects, name_of
from modelmill_trainer.stores import Entry, Folder, open_folder

FIELD: Final = "data.train.uri"
MAX_COUNTED: Final = 4 << 30
"""Most bytes that one look reads to count rows."""
MAX_DOCUMENTS: Final = 64
"""Of one run: one for each try that found other data."""

Known = dict[str, list[ListedObject]]


def remember(spec: StageSpec, train: Sequence[Fetched]) -> None:
    """Leave in the store which objects the run has read, with their rows. Raises StageError for what the store refuses."""
    listed = []
    for item in train:
        entry = item.entry or Entry(item.name, item.size)
        listed.append(replace(_listed(entry, item.name), rows=_rows_or_none(spec, item.path)))
    name, content = listing_document(listed)
    with tempfile.TemporaryDirectory(prefix="modelmill-") as scratch:
        path = Path(scratch) / "listing"
        path.write_bytes(content)
        _memory(spec).write(name, path)


def look(spec: StageSpec) -> Seen:
    """Return what is new in the data. Raises StageError: LookTooLarge, DataUnreadable, or whatever the store refuses."""
    if spec.look is None:
        raise StageError("SpecInvalid", "the stage is not told what to look for")
    begin, data = time.monotonic(), spec.data
    folder = open_folder(data.uri, spec.store.endpoint, spec.store.region, FIELD)
    every = data_objects(folder)
    window = ObjectWindow.of(data.window, time.time())
    entries = every if window is None else window.within(every)
    known = _known(spec)
    new = [entry for entry in entries if _is_new(_listed(entry, name_of(entry, folder)), known, spec.look)]
    there = {name_of(entry, folder) for entry in every}
    recent = [entry for entry in new if _is_recent(entry, spec.look)]
    rows, recent_rows = _rows_of(folder, new, recent, known or {}, data.format, spec.look)
    seen = Seen(
        digest=listing_digest([_listed(entry, name_of(entry, folder)) for entry in entries]),
        objects=len(entries),
        new=len(new),
        removed=sum(name not in there for name in known or ()),
        rows=rows,
        after=spec.look.after,
        recent=len(recent) if spec.look.after is not None else None,
        recent_rows=recent_rows,
    )
    print(f"look: {seen} in {time.monotonic() - begin:.2f} s", flush=True)
    return seen


def _listed(entry: Entry, name: str) -> ListedObject:
    return ListedObject(name, entry.size, entry.etag, entry.written)


def _memory(spec: StageSpec) -> Folder:
    store = spec.store
    return open_folder(join(store.uri, listing_folder(spec.run_uid)), store.endpoint, store.region, "store.uri")


def _known(spec: StageSpec) -> Known | None:
    """Return the objects that the run has read, by name; None when it has left no word of them."""
    folder = _memory(spec)
    known: Known = {}
    names = [entry.name for entry in folder.entries()][:MAX_DOCUMENTS]
    for name in names:
        expected = f"sha256:{name.removeprefix('sha256-').removesuffix('.json')}"
        try:
            listed = parse_listing(folder.read(name, MAX_LISTING, expected))
        except ValueError as error:
            raise StageError("ListingDamaged", f"{folder.uri}/{name}: {error}: delete it") from None
        for one in listed:
            known.setdefault(one.name, []).append(one)
    return known if names else None


def _is_new(found: ListedObject, known: Known | None, look: Look) -> bool:
    if known is None:
        return found.written is None or found.written > look.since
    return not any(found.same(one) for one in known.get(found.name, ()))


def _is_recent(entry: Entry, look: Look) -> bool:
    return look.after is not None and (entry.written is None or entry.written > look.after)


def _rows_of(
    folder: Folder, new: Sequence[Entry], recent: Sequence[Entry], known: Known, form: str, look: Look
) -> tuple[int | None, int | None]:
    """Return how many rows came in the objects and in the recent ones, or as many as were counted when there were enough.

    None: they are not asked for.
    """
    total = of_recent = read = 0
    # The recent ones first: they count for both.
    ordered = [*recent, *(entry for entry in new if not _is_recent(entry, look))]
    with tempfile.TemporaryDirectory(prefix="modelmill-") as scratch:
        path = Path(scratch) / "object"
        for place, entry in enumerate(ordered):
            in_recent = place < len(recent)
            wanted = look.min_rows is not None and total < look.min_rows
            if not wanted and not (in_recent and look.recent_rows is not None and of_recent < look.recent_rows):
                break
            read += entry.size
            if read > MAX_COUNTED:
                words = f"more than {MAX_COUNTED} bytes of new objects are at {folder.uri}, with {total} rows so far"
                mend = "use triggers.newData.minNewObjects, triggers.alerts.minNewRows: 0, or start a run"
                raise StageError("LookTooLarge", f"{words}: {mend}")
            folder.save(entry.name, path, entry.size, etag=entry.etag)
            name = name_of(entry, folder)
            before = max((one.rows or 0 for one in known.get(name, ())), default=0)
            came = max(0, count_rows(path, form, name) - before)
            total += came
            of_recent += came if in_recent else 0
            path.unlink()
    return total if look.min_rows is not None else None, of_recent if look.recent_rows is not None else None


def _rows_or_none(spec: StageSpec, path: Path) -> int | None:
    """Return how many rows an object has; None for one that is to be prepared, or cannot be read, which the run tells."""
    if spec.prepare_image:
        return None
    try:
        return count_rows(path, spec.data.format, path.name)
    except StageError:
        return None
