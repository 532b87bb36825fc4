"""JSON Schemas of requests and answers for one signature, as strict as the server is.

What JSON Schema cannot say is said in descriptions: that a tensor has as many values as its shape says, that all tensors have
the same number of rows, and that every feature which may not be missing is there once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelmill.contracts.artifact import Signature, Tensor
from modelmill_server.queries.columns import BOOL, FAMILY, FLOAT, INT, LARGEST, TEXT, Feature, features_of

Schema = dict[str, Any]

LARGEST_INT = (1 << 63) - 1
WHOLE = tuple(name for name, family in FAMILY.items() if family == INT)
FLOATS_IN_JSON = ("FP32", "FP64")  # FP16 has no JSON form
NULL: Schema = {"type": "null"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANYTHING: Schema = {}
LEFT_OUT = "One that may be missing may be left out; a column of the training data that is no feature is ignored."
EXAMPLES: dict[str, Any] = {FLOAT: 1.5, INT: 1, BOOL: True, TEXT: "text"}
BINARY_WORDS = (
    "In binary form (see Inference-Header-Content-Length) it holds `binary_data_size`, and `data` is left out."
)


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: dict[str, Any], optional: dict[str, Any] | None = None, **more: Any) -> Schema:
    """Return the schema of an object; properties that are not named are allowed unless `more` forbids them."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}, **more}


def array(items: Schema, least: int = 0, most: int | None = None, **more: Any) -> Schema:
    """Return the schema of an array."""
    schema: Schema = {"type": "array", "items": items, **more}
    if least:
        schema["minItems"] = least
    if most is not None:
        schema["maxItems"] = most
    return schema


def whole(datatype: str) -> Schema:
    """Return the whole numbers that a datatype takes; UINT64 ends where INT64 does."""
    bits, signed = int(datatype.lstrip("UINT")), not datatype.startswith("U")
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, min((1 << bits) - 1, LARGEST_INT))
    return {"type": "integer", "minimum": low, "maximum": high}


def number() -> Schema:
    """Return the numbers that a model takes: those that single precision can hold."""
    return {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}


def _both(first: Schema, second: Schema) -> Schema:
    """Return the whole numbers that are in both ranges."""
    low, high = max(first["minimum"], second["minimum"]), min(first["maximum"], second["maximum"])
    return {"type": "integer", "minimum": low, "maximum": high}


def or_null(schema: Schema, *, nullable: bool) -> Schema:
    """Return the schema, with null where a missing value is allowed."""
    return {"anyOf": [schema, NULL]} if nullable else schema


class Requests:
    """Request schemas of one signature. Features of the same kind share a component, so the document stays short."""

    def __init__(self, signature: Signature) -> None:
        """Raises ValueError naming the input whose datatype is not known."""
        self._features = features_of(signature.inputs)
        names = {feature.name for feature in self._features}
        self._ignored = [name for name in dict.fromkeys(signature.ignored) if name not in names]
        self._least = sum(not feature.nullable for feature in self._features)
        self._most = len(self._features) + len(self._ignored)
        self.components: dict[str, Schema] = {
            "Shape": SHAPE,
            "Parameters": PARAMETERS,
            "OutputParameters": OUTPUT_PARAMETERS,
        }
        self.numeric = all(feature.family != TEXT for feature in self._features)
        self._kinds = self._tensor_components()
        self._value_components()
        self.components |= {
            "InferRequest": self._infer(signature.outputs),
            "Rows": self._rows(),
            "Columns": self._by_column(),
            "Split": self._split(),
        }

    def _infer(self, outputs: Sequence[Tensor]) -> Schema:
        """Return the body of a V2 request."""
        per_feature = array(
            {"anyOf": [ref(name) for name in self._kinds]},
            max(self._least, 1),
            self._most,
            title="One tensor for each feature",
            description="Every feature once, in any order; all with the same number of rows. " + LEFT_OUT,
        )
        forms = [per_feature]
        if self.numeric:
            matrix = "One matrix of all features, its columns in the order of the model's metadata"
            forms.append(array(ref("MatrixTensor"), 1, 1, title=matrix))
        choice = record(
            {"name": {"enum": [tensor.name for tensor in outputs]}},
            {"parameters": or_null(ref("OutputParameters"), nullable=True)},
        )
        return record(
            {"inputs": {"anyOf": forms} if len(forms) > 1 else per_feature},
            {
                "id": {"type": ["string", "null"], "description": "Any text; the answer has it too."},
                "outputs": or_null(
                    array(choice, description="The outputs to answer; all when left out."), nullable=True
                ),
                "parameters": or_null(ref("Parameters"), nullable=True),
            },
        )

    def _rows(self) -> Schema:
        """Return rows: objects by feature name, or lists in the order of the metadata."""
        forms = [array(ref("RowByName"), 1), array(ref("RowInOrder"), 1)]
        if len(self._features) == 1:
            forms.append(array(ref(_value_name(self._features[0])), 1))
        return {"anyOf": forms, "description": "One entry for each row."}

    def _by_column(self) -> Schema:
        """Return columns by feature name; a value alone is a column of one row."""
        words = "One column for each feature, all with as many rows. " + LEFT_OUT
        columns = {feature.name: ref(f"{_kind(feature)}Column") for feature in self._features}
        return {**self._by_feature(columns), "minProperties": 1, "description": words}

    def _by_feature(self, schemas: dict[str, Schema]) -> Schema:
        """Return the schema of an object with a member for each feature; what may be missing or is ignored may be absent."""
        needed = {feature.name: schemas[feature.name] for feature in self._features if not feature.nullable}
        others = {feature.name: schemas[feature.name] for feature in self._features if feature.nullable}
        others |= dict.fromkeys(self._ignored, ANYTHING)
        return record(needed, others, additionalProperties=False)

    def _split(self) -> Schema:
        """Return the `dataframe_split` form of MLflow."""
        names = [feature.name for feature in self._features]
        kinds = list(dict.fromkeys(_value_name(feature) for feature in self._features))
        words = "Every feature once, in any order. " + LEFT_OUT
        header = array({"enum": [*names, *self._ignored]}, self._least, self._most, uniqueItems=True, description=words)
        value = ANYTHING if self._ignored else {"anyOf": [ref(name) for name in kinds]}
        row = array(value, self._least, self._most)
        with_names = array(row, 1, description="Rows, in the order of `columns`, with as many values.")
        in_order = array(ref("RowInOrder"), 1)
        return {
            "anyOf": [
                record({"data": in_order, "columns": {"const": names}}, title="Columns in the order of the metadata"),
                record({"data": in_order}, {"columns": False}, title="Without names"),
                record({"data": with_names, "columns": header}, title="Columns in any order"),
            ]
        }

    def example_tensors(self) -> list[dict[str, Any]]:
        """Return the inputs of a V2 request of one row."""
        return [
            {
                "name": feature.name,
                "shape": [1],
                "datatype": "FP32" if feature.datatype == "FP16" else feature.datatype,
                "data": [EXAMPLES[feature.family]],
            }
            for feature in self._features
        ]

    def example_row(self) -> dict[str, Any]:
        """Return a row by feature name."""
        return {feature.name: EXAMPLES[feature.family] for feature in self._features}

    def _tensor_components(self) -> list[str]:
        """Make a component for each kind of feature and return the components' names."""
        kinds: dict[str, list[Feature]] = {}
        for feature in self._features:
            kinds.setdefault(_kind(feature), []).append(feature)
        for kind, features in kinds.items():
            name = {"enum": [feature.name for feature in features]}
            words = f"A tensor of a feature that is {kind[0].lower()}{kind[1:]}."
            forms = [
                _tensor(name, ref("Shape"), declared, or_null(values, nullable=features[0].nullable), 1)
                for declared, values in _declared(features[0])
            ]
            self.components[f"{kind}Tensor"] = {"anyOf": forms, "description": words}
        if self.numeric:
            self.components["MatrixTensor"] = self._matrix()
        if self._ignored:
            head = {"name": {"enum": self._ignored}, "shape": ref("Shape"), "datatype": {"type": "string"}}
            words = "A tensor of a column that the model does not use; its values are not looked at."
            parameters = {"parameters": or_null(ref("Parameters"), nullable=True)}
            self.components["IgnoredTensor"] = record(head, parameters, description=words)
        return [f"{kind}Tensor" for kind in kinds] + ["IgnoredTensor"] * bool(self._ignored)

    def _matrix(self) -> Schema:
        nullable = any(feature.nullable for feature in self._features)
        count = len(self._features)
        shape = {
            "type": "array",
            "prefixItems": [{"type": "integer", "minimum": 1}, {"const": count}],
            "minItems": 2,
            "maxItems": 2,
            "description": "[rows, features]",
        }
        families = {feature.family for feature in self._features}
        floats: Schema = number() if FLOAT in families else {"type": "integer"}
        kinds = [(FLOATS_IN_JSON, floats), (("BOOL",), {"type": "boolean"})]
        kinds += [((datatype,), whole(datatype)) for datatype in WHOLE]
        forms = [
            _tensor({"type": "string"}, shape, declared, or_null(values, nullable=nullable), count)
            for declared, values in kinds
        ]
        return {"anyOf": forms, "description": "All features as one tensor of any name."}

    def _value_components(self) -> None:
        for feature in self._features:
            name = _value_name(feature)
            self.components[name] = or_null(_value(feature), nullable=feature.nullable)
            self.components[f"{_kind(feature)}Column"] = {"anyOf": [array(ref(name), 1), ref(name)]}
        row = {feature.name: ref(_value_name(feature)) for feature in self._features}
        self.components["RowByName"] = self._by_feature(row)
        self.components["RowInOrder"] = {
            "type": "array",
            "prefixItems": list(row.values()),
            "minItems": len(row),
            "maxItems": len(row),
            "description": f"Values of {', '.join(list(row)[:50])}{' and so on' if len(row) > 50 else ''}.",
        }


PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "binary_data_output": {"description": "true: answer all outputs in binary form."},
        "binary_data_size": {"description": "Bytes of this tensor in the binary part of the body."},
    },
    "description": "Other parameters are allowed and have no effect.",
}
OUTPUT_PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "binary_data": {"description": "true: answer this output in binary form."},
        "classification": {
            **COUNT,
            "description": "k: answer the k greatest of each row's scores, as texts value:index:label; 0 answers them all, as "
            "they are. For outputs that have several numbers in each row.",
        },
    },
    "description": PARAMETERS["description"],
}
SHAPE: Schema = {
    "type": "array",
    "prefixItems": [{"type": "integer", "minimum": 1}, {"const": 1}],
    "minItems": 1,
    "maxItems": 2,
    "description": "[rows] or [rows, 1]",
}


def output_values(tensor: Tensor) -> Schema:
    """Return one value of an output. A number that is not finite is answered as null."""
    family = FAMILY[tensor.datatype]
    if tensor.classes and family != FLOAT and len(tensor.shape) == 1:
        return {"enum": list(tensor.classes)}
    kinds: dict[str, Schema] = {
        FLOAT: {"type": ["number", "null"]},
        INT: {"type": "integer"},
        BOOL: {"type": "boolean"},
        TEXT: {"type": "string"},
    }
    return kinds[family]


def prediction(tensor: Tensor) -> Schema:
    """Return what V1 and MLflow answer for one row."""
    value = output_values(tensor)
    for width in reversed(tensor.shape[1:]):
        value = array(value, max(width, 0), width if width >= 0 else None)
    return value


def output_tensor(tensor: Tensor) -> Schema:
    """Return an output of a V2 answer in JSON."""
    words = f"Label of each column: {', '.join(map(str, tensor.classes[:50]))}." if len(tensor.shape) > 1 else ""
    values = array(output_values(tensor), description=f"Row by row. {words}".strip())
    shape = ["rows", *map(str, tensor.shape[1:])]
    head = {
        "name": {"const": tensor.name},
        "datatype": {"const": tensor.datatype},
        "shape": array(COUNT, len(shape), len(shape), description=f"[{', '.join(shape)}]"),
    }
    return record({**head, "data": values})


def ranked_tensor(tensor: Tensor) -> Schema:
    """Return an output of several numbers for each row, as it is answered with the parameter `classification`."""
    data = array({"type": "string"}, description="value:index:label, the greatest value first, row by row.")
    shape = array(COUNT, 2, 2, description="[rows, k]")
    return record({"name": {"const": tensor.name}, "datatype": {"const": "BYTES"}, "shape": shape, "data": data})


def _kind(feature: Feature) -> str:
    family = {FLOAT: "Number", TEXT: "Text", BOOL: "TrueOrFalse"}.get(feature.family) or f"Whole{feature.datatype}"
    return f"{family}OrMissing" if feature.nullable else family


def _value_name(feature: Feature) -> str:
    return f"{_kind(feature)}Value"


def _value(feature: Feature) -> Schema:
    """Return one value of a feature in a row."""
    if feature.family == INT:
        return whole(feature.datatype)
    kinds: dict[str, Schema] = {FLOAT: number(), TEXT: {"type": "string"}, BOOL: {"enum": [True, False, 0, 1]}}
    return kinds[feature.family]


def _declared(feature: Feature) -> list[tuple[tuple[str, ...], Schema]]:
    """Return the datatypes in which a feature may come in JSON, each with the values that it then takes."""
    boolean: Schema = {"type": "boolean"}
    if feature.family == TEXT:
        return [(("BYTES",), {"type": "string"})]
    if feature.family == BOOL:
        return [(("BOOL",), boolean), ((*FLOATS_IN_JSON, *WHOLE), {"enum": [0, 1]})]
    if feature.family == INT:
        both = [((name,), _both(whole(name), whole(feature.datatype))) for name in WHOLE]
        return [(FLOATS_IN_JSON, {"type": "integer"}), *both, (("BOOL",), boolean)]
    return [(FLOATS_IN_JSON, number()), *(((name,), whole(name)) for name in WHOLE), (("BOOL",), boolean)]


def _tensor(name: Schema, shape: Schema, declared: tuple[str, ...], value: Schema, width: int) -> Schema:
    """Return a tensor in one of the declared datatypes, its data flat or a list of rows of `width` values."""
    datatype: Schema = {"const": declared[0]} if len(declared) == 1 else {"enum": list(declared)}
    data = {"anyOf": [array(value, width), array(array(value, width, width), 1)]}
    return record(
        {"name": name, "shape": shape, "datatype": datatype, "data": data},
        {"parameters": or_null(ref("Parameters"), nullable=True)},
    )
