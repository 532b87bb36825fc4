"""The objects that a skops file describes, as skops would make them, without making any.

Source: skops.io, protocol 2: schema.json holds a state for each object, `__loader__` says which class of skops builds it, and
an `__id__` that was met before stands for the object that was met first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelmill.artifacts.archive import Archive
from modelmill.artifacts.arrays import Array, Sparse, read_array, read_sparse
from modelmill.artifacts.documents import parse_document
from modelmill.artifacts.limits import ArtifactInvalid, Limits

SCHEMA = "schema.json"
PROTOCOLS = (1, 2)
STATE = "state"  # the key of an object's attributes among its parts
# In the order in which skops reads them.
_INNER: dict[str, tuple[str, ...]] = {
    "MaskedArrayNode": ("data", "mask"),
    "RandomGeneratorNode": ("bit_generator", "seed_seq"),
    "PartialNode": ("func", "args", "kwds", "namespace"),
    "DefaultDictNode": ("main", "default_factory"),
    "MethodNode": ("obj",),
}
_CONTAINERS: dict[str, tuple[str, ...]] = {
    "ListNode": ("builtins.list",),
    "SetNode": ("builtins.set",),
    "DictNode": ("builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"),
}
_PLAIN = ("FunctionNode", "TypeNode", "SliceNode")
_LOSSES = ("_loss.", "sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.")
_BUILT = ("sklearn.", "scipy.", "numpy.")


@dataclass(slots=True, eq=False)
class Part:
    """An object of the file. kind: skops' loader; type: module and name of its class.

    items: what a container holds, an object's state under STATE. value: of a JSON literal. entry: the file of an array.
    """

    kind: str
    type: str
    place: str
    items: dict[str, Part] = field(default_factory=dict)
    value: Any = None
    entry: str = ""
    open: bool = True

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.type.rpartition(".")[2]

    def attributes(self) -> dict[str, Part]:
        """Return the attributes of an object; none when its state is no dictionary."""
        state = self.items.get(STATE)
        return state.items if state is not None and state.kind == "DictNode" else {}


Fields = dict[str, Part]


class Parts:
    """All objects of a skops file. Raises ArtifactInvalid when skops would read something else, or cannot end."""

    def __init__(self, archive: Archive, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits
        self._known: dict[int, Part] = {}
        self._entries: dict[str, Part] = {}
        self._checked: set[str] = set()
        self.all: list[Part] = []
        info = archive.entries.get(SCHEMA)
        if info is not None and info.file_size > limits.document:
            raise ArtifactInvalid(
                f"{archive.name}: {SCHEMA} has {info.file_size} bytes inflated: at most {limits.document} are read"
            )
        schema = parse_document(archive.read(SCHEMA), f"{archive.name}: {SCHEMA}", limits)
        if schema.get("protocol") not in PROTOCOLS or isinstance(schema["protocol"], bool):
            raise ArtifactInvalid(
                f"{archive.name}: {SCHEMA} has the protocol {schema.get('protocol')!r}: write it with skops 0.13"
            )
        self._inner = dict(_INNER)
        if schema["protocol"] == 1:
            self._inner["RandomGeneratorNode"] = ("bit_generator",)
        root = self._part(schema, "the model")
        if root.kind == "TreeNode":
            raise self.wrong(root, "is a tree that no estimator holds as its tree_")

    def array(self, part: Part) -> Array:
        """Return the array that a part is. Raises ArtifactInvalid when it is none of numbers."""
        if part.kind != "NdArrayNode" or not part.entry:
            raise self.wrong(part, "is no array of numbers")
        self._checked.add(part.entry)
        return read_array(self._archive.read(part.entry), f"{self._archive.name}: {part.place}")

    def sparse(self, part: Part) -> Sparse:
        """Return the sparse matrix that a part is."""
        self._checked.add(part.entry)
        return read_sparse(self._archive.read(part.entry), f"{self._archive.name}: {part.place}", self._limits)

    def number(self, part: Part | None) -> int | None:
        """Return a whole number, from JSON or of numpy; None for what is none."""
        if part is None or part.kind == "JsonNode":
            value = part.value if part is not None else None
            return value if isinstance(value, int) and not isinstance(value, bool) else None
        if part.kind == "NdArrayNode" and part.entry:
            array = self.array(part)
            return int(array) if array.shape == () and array.dtype.kind in "iu" else None
        return None

    def check_rest(self) -> None:
        """Read every array and sparse matrix that nobody asked for. Raises ArtifactInvalid for the first that is none."""
        for entry, part in self._entries.items():
            if entry in self._checked:
                continue
            if part.kind == "SparseMatrixNode":
                self.sparse(part)
            elif part.kind == "NdArrayNode":
                self.array(part)
            else:
                self._archive.read(entry)

    def wrong(self, part: Part, what: str) -> ArtifactInvalid:
        """Return the error that says where a part is and what is wrong with it."""
        return ArtifactInvalid(f"{self._archive.name}: {part.place} {what}")

    def _part(self, state: Any, place: str) -> Part:
        try:
            id_, kind = state.get("__id__"), state["__loader__"]
            type_ = f"{state['__module__']}.{state['__class__']}"
        except (AttributeError, KeyError, TypeError):
            raise ArtifactInvalid(f"{self._archive.name}: {place} is no object of skops") from None
        if id_ is not None and (not isinstance(id_, int) or isinstance(id_, bool)):
            raise ArtifactInvalid(
                f"{self._archive.name}: {place} has the __id__ {str(id_)[:40]!r}: it must be a whole number"
            )
        known = self._known.get(id_) if id_ is not None else None
        if known is not None:
            if known.open:
                raise self.wrong(known, "holds itself")
            return known
        if not isinstance(kind, str) or not all(isinstance(state[key], str) for key in ("__module__", "__class__")):
            raise ArtifactInvalid(f"{self._archive.name}: {place} is no object of skops")
        part = Part(kind, type_, place)
        if id_:  # as skops: zero is no id
            self._known[id_] = part
        self.all.append(part)
        if len(self.all) > self._limits.nodes:
            raise ArtifactInvalid(f"{self._archive.name} holds more than {self._limits.nodes} objects")
        try:
            self._fill(part, state)
        except (KeyError, TypeError, AttributeError) as error:
            raise self.wrong(part, f"lacks what a {kind[:40]} has: {type(error).__name__} {error}") from None
        self._require_places(part)
        part.open = False
        return part

    def _fill(self, part: Part, state: dict[str, Any]) -> None:
        kind = part.kind
        if kind == "JsonNode":
            part.value = self._literal(part, state["content"])
        elif kind in _CONTAINERS or kind == "TupleNode":
            self._fill_container(part, state)
        elif kind in ("NdArrayNode", "SparseMatrixNode", "BytesNode", "BytearrayNode"):
            self._fill_array(part, state)
        elif kind in self._inner:
            held = state["content"]
            part.items = {key: self._part(held[key], f"{part.place}.{key}") for key in self._inner[kind]}
        elif kind in ("TreeNode", "LossNode"):
            self._require_reduced(part)
            part.items[STATE] = self._part(state["content"], part.place)
            part.items["args"] = self._part(state["__reduce__"]["args"], f"{part.place}.args")
        elif kind in ("ObjectNode", "ConstructorFromReduceNode", "RandomStateNode", "DTypeNode"):
            if kind == "ConstructorFromReduceNode" and part.type.startswith(_BUILT):
                raise self.wrong(part, f"calls {part.type} with arguments of the file")
            if state.get("content") is not None:
                part.items[STATE] = self._part(state["content"], part.place)
        elif kind == "OperatorFuncNode":
            part.items["attrs"] = self._part(state["attrs"], f"{part.place}.attrs")
        elif kind not in _PLAIN:
            raise self.wrong(part, f"is built by {kind[:60]!r}, which is unknown")

    def _require_places(self, part: Part) -> None:
        """Raise ArtifactInvalid for a bare tree where something would call its methods without the checks of its estimator."""
        for key, held in part.items.items():
            if held.kind == "TreeNode" and key != "tree_":
                raise self.wrong(held, "is a tree that no estimator holds as its tree_")

    def _literal(self, part: Part, content: Any) -> Any:
        try:
            value = json.loads(content)
        except (ValueError, TypeError, RecursionError):
            raise self.wrong(part, "is no JSON literal") from None
        if isinstance(value, dict | list):
            raise self.wrong(part, "is a JSON document where a literal belongs")
        return value

    def _fill_container(self, part: Part, state: dict[str, Any]) -> None:
        held = state["content"]
        allowed = _CONTAINERS.get(part.kind)
        if allowed and part.type not in allowed:
            raise self.wrong(part, f"is a {part.type} where a {part.kind[:-4].lower()} belongs")
        if part.kind == "DictNode":
            keys = self._part(state["key_types"], f"{part.place} (types of keys)")
            if any(key.kind != "TypeNode" for key in keys.items.values()):
                raise self.wrong(part, "has keys of a type that is none")
            part.items = {key: self._part(value, f"{part.place}.{key[:40]}") for key, value in held.items()}
            return
        if not isinstance(held, list):
            raise TypeError("a list")
        part.items = {str(at): self._part(value, f"{part.place}[{at}]") for at, value in enumerate(held)}

    def _fill_array(self, part: Part, state: dict[str, Any]) -> None:
        if part.kind == "NdArrayNode" and state["type"] == "json":
            part.items = {
                str(at): self._part(value, f"{part.place}[{at}]") for at, value in enumerate(state["content"])
            }
            self._part(state["shape"], f"{part.place}.shape")
            return
        entry = state["file"]
        if entry not in self._archive.entries:
            raise self.wrong(part, f"is in {str(entry)[:60]!r}, which the archive lacks")
        if self._entries.setdefault(entry, part) is not part:
            raise self.wrong(part, f"is in {entry}, as {self._entries[entry].place} is")
        part.entry = entry
        if part.kind == "NdArrayNode" and part.type != "numpy.ndarray":
            self._require_scalar(part)

    def _require_scalar(self, part: Part) -> None:
        array = self.array(part)
        kind: Any = getattr(np, part.name, None)
        known = part.type.startswith("numpy.") and isinstance(kind, type) and issubclass(kind, np.generic)
        if not known or array.shape != () or not isinstance(array[()], kind) or array.dtype.kind == "V":
            raise self.wrong(part, f"is an array of {str(array.dtype)[:40]} where one {part.name} belongs")

    def _require_reduced(self, part: Part) -> None:
        fitting = part.type == "sklearn.tree._tree.Tree" if part.kind == "TreeNode" else part.type.startswith(_LOSSES)
        if not fitting:
            raise self.wrong(part, f"is a {part.type} where a {part.kind[:-4].lower()} belongs")


def leaves(part: Part) -> Iterator[Part]:
    """Yield what nested containers hold, containers left out."""
    waiting = [part]
    while waiting:
        held = waiting.pop()
        if held.kind in ("ListNode", "TupleNode", "SetNode", "DictNode", "NdArrayNode") and not held.entry:
            waiting.extend(reversed(held.items.values()))
        else:
            yield held


def width_of(parts: Parts, part: Part, fields: Fields) -> int:
    """Return the width of rows that an estimator takes. Raises ArtifactInvalid when it does not say it as a whole number."""
    width = parts.number(fields.get("n_features_in_"))
    if width is None or width < 1:
        raise parts.wrong(part, "has no n_features_in_ that is a whole number")
    return width
