"""model.onnx: operators that end, sizes that the file accounts for, tensors that are in the file.

Source: ONNX, onnx-ml.proto (numbers of fields) and Operators.md. The file is read as onnxruntime reads it, by field number.
"""

from __future__ import annotations

from pathlib import Path

from modelmill.artifacts.limits import LIMITS, ArtifactInvalid, Limits, require_size
from modelmill.artifacts.onnx_nodes import ML_OPERATORS, OPERATORS, Node
from modelmill.artifacts.onnx_sizes import Sizes
from modelmill.artifacts.onnx_tensors import Tensor, parse_tensor
from modelmill.artifacts.onnx_trees import TREES, check_trees
from modelmill.artifacts.onnx_widths import Widths
from modelmill.artifacts.protobuf import Message, number, once, parse_message, text

MAX_FILE = (1 << 31) - 1  # of a protobuf
MAX_NODES = 100_000
MAX_GRAPHS = 4  # graphs in graphs, of If and Scan
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


def check_onnx(path: Path, limits: Limits = LIMITS) -> None:
    """Raise ArtifactInvalid for a graph that does not end, or takes more memory than its file says."""
    require_size(path, min(limits.file, MAX_FILE))
    try:
        _Check(path.name, limits).model(parse_message(memoryview(path.read_bytes())))
    except (ValueError, OverflowError) as error:
        raise ArtifactInvalid(f"{path.name} is no ONNX model: {error}") from None


class _Check:
    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._nodes = 0

    def model(self, message: Message) -> None:
        for field, what in ((25, "functions of its own"), (20, "a graph for training")):
            if message.get(field):
                raise self._wrong(f"has {what}: only operators are run")
        for item in message.get(8, ()):
            opset = parse_message(item)
            domain, version = text(opset, 1), number(opset, 2)
            if domain not in DOMAINS or not 1 <= version <= 64:
                raise self._wrong(
                    f"uses version {version} of the operators {domain[:60]!r}: only {DOMAINS[1]} and {DOMAINS[2]} are run"
                )
        graph = once(message, 7)
        if graph is None:
            raise self._wrong("has no graph")
        self.graph(parse_message(graph), 1, Sizes({}, self._limits.elements), Widths({}))

    def graph(self, message: Message, depth: int, outer: Sizes, widths: Widths) -> None:
        if depth > MAX_GRAPHS:
            raise self._wrong(f"has graphs in graphs more than {MAX_GRAPHS} deep")
        if message.get(15):
            raise self._wrong("has sparse initializers: write them as tensors")
        sizes, widths = Sizes(outer.known, self._limits.elements), Widths(widths.known)
        for item in message.get(11, ()):
            widths.see_input(parse_message(item))
        for item in message.get(5, ()):
            tensor = self._tensor(parse_message(item))
            sizes.see_tensor(tensor)
            widths.see_tensor(tensor)
        for item in message.get(1, ()):
            node = self._node(parse_message(item))
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise self._wrong(f"has more than {MAX_NODES} operators")
            self._check_node(node, depth, sizes, widths)

    def _check_node(self, node: Node, depth: int, sizes: Sizes, widths: Widths) -> None:
        held: list[Tensor] = []
        for attribute in node.attributes.values():
            if attribute.get(21):
                raise self._wrong("refers to the attribute of a function", node)
            if attribute.get(22) or attribute.get(23):
                raise self._wrong("has a sparse tensor: write it as a tensor", node)
            held.extend(self._tensor(parse_message(item)) for field in (5, 10) for item in attribute.get(field, ()))
            graphs = [item for field in (6, 11) for item in attribute.get(field, ())]
            if graphs and node.kind not in ("If", "Scan"):
                raise self._wrong("holds a graph", node)
            for item in graphs:
                self.graph(parse_message(item), depth + 1, sizes, widths)
        problem = sizes.see_node(node.kind, node, held)
        if not problem and node.kind in TREES:
            problem = check_trees(node, widths.of(node.inputs[0]) if node.inputs else None)
        if problem:
            raise self._wrong(problem, node)
        widths.see_node(node, sizes)

    def _node(self, message: Message) -> Node:
        domain, kind = text(message, 7), text(message, 4)
        attributes: dict[str, Message] = {}
        for item in message.get(5, ()):
            attribute = parse_message(item)
            name = text(attribute, 1)
            if name in attributes or any(len(attribute.get(field, ())) > 1 for field in (2, 3, 4, 5, 6)):
                raise self._wrong(f"has the attribute {name[:60]!r} twice in {kind[:60]}")
            attributes[name] = attribute
        allowed = ML_OPERATORS if domain == DOMAINS[2] else OPERATORS if domain in DOMAINS else frozenset()
        node = Node(kind, text(message, 3), _names(message, 1), _names(message, 2), attributes)
        if kind not in allowed or text(message, 8):
            raise self._wrong("is none of the operators that are run", node)
        return node

    def _tensor(self, message: Message) -> Tensor:
        tensor, problem = parse_tensor(message)
        if problem:
            raise self._wrong(f"{problem}, in the tensor {tensor.name[:60]!r}")
        return tensor

    def _wrong(self, what: str, node: Node | None = None) -> ArtifactInvalid:
        where = f"{node.kind[:60]} {node.name[:60]!r} " if node is not None else ""
        return ArtifactInvalid(f"{self._name}: {where}{what}" if node is not None else f"{self._name} {what}")


def _names(message: Message, field: int) -> list[str]:
    found = message.get(field, [])
    if any(isinstance(item, int) for item in found):
        raise ValueError("the name of a tensor is a number")
    return [bytes(item).decode() for item in found]
