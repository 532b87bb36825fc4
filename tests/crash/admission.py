"""What the API server does with an object before it stores it. Of our kinds: defaults, schema, kinds of lists, CEL rules.

Of statuses tests/integration/engine/test_memory_admission.py compares the verdicts with those of the real one; of specs
tests/support/refused.py is the table that both are asked. Two differences are wanted: a field that the schema does not
know is refused, as with `fieldValidation=Strict`, where the API server by itself drops it with a warning (an operator
that sends one has a defect); and a spec or status that an update leaves as it was is not looked at again, be it valid
or not, which the real one does value by value (KEP-4008, CRD validation ratcheting). `size()` of a text counts bytes in
the library and characters in the API server: the rules ask it of names only, which are ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import cel
import jsonschema_rs

from modelmill.api.schema import definitions
from modelmill.engine.errors import Invalid
from tests.crash.validity import refusals

Object = dict[str, Any]
Schema = Mapping[str, Any]
PARTS = ("spec", "status")
ABSENT = object()


def admitted(obj: Object, before: Mapping[str, Any] | None = None) -> Object:
    """Return the object, one of our kinds with the defaults of its CRD.

    before: the stored object that it replaces. Raises Invalid with every reason.
    """
    schema = schemas().get((obj["apiVersion"], obj["kind"]))
    if schema is None:
        refused = list(refusals(obj))
        if refused:
            raise Invalid(422, "Invalid", f"{obj['kind']} {obj['metadata']['name']}: {'; '.join(refused)}")
        return obj
    changed = [name for name in PARTS if name in obj and (before is None or obj[name] != before.get(name))]
    full = {**obj, **{name: defaulted(obj[name], schema["properties"][name]) for name in changed}}
    if before is None and "spec" not in full:
        raise Invalid(422, "Invalid", f"{obj['kind']} {obj['metadata']['name']}: spec: Required value")
    problems = [problem for name in changed for problem in _problems(full[name], before, name, schema)]
    problems += _broken(full, before, {"x-kubernetes-validations": schema.get("x-kubernetes-validations", ())}, "")
    if problems:
        raise Invalid(422, "Invalid", f"{obj['kind']} {obj['metadata']['name']}: {'; '.join(problems)}")
    return full


def _problems(value: Any, before: Mapping[str, Any] | None, name: str, schema: Schema) -> list[str]:
    inner = schema["properties"][name]
    # Rules are asked only about what has the right types.
    return misfits(value, inner, name) or [
        *_doubled(value, inner, name),
        *_broken(value, (before or {}).get(name), inner, name),
    ]


def misfits(value: Any, schema: Schema, name: str) -> list[str]:
    """Return what the structural schema refuses of a value, fields by their path under `name`; its CEL rules are not asked."""
    return [
        f"{'.'.join([name, *map(str, error.instance_path)])}: {error.message}"
        for error in _validator(schema).iter_errors(value)
    ]


def defaulted(value: Any, schema: Schema) -> Any:
    """Return the value with the defaults of the schema; a null takes the default where null is not allowed."""
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        more = schema.get("additionalProperties")
        full = {}
        for name, child in value.items():
            inner = properties.get(name, more)
            if child is None and inner is not None and "default" in inner and not inner.get("nullable"):
                continue
            full[name] = defaulted(child, inner) if inner is not None else child
        missing = {name: inner["default"] for name, inner in properties.items() if "default" in inner}
        return {**missing, **full} if missing.keys() - full.keys() else full
    if isinstance(value, list) and "items" in schema:
        return [defaulted(child, schema["items"]) for child in value]
    return value


def follows_rules(value: Any, schema: Schema) -> bool:
    """Tell whether a value, whose parts do, follows the schema's own rules of creation."""
    return not [*_told(value, ABSENT, schema, ""), *_doubled_here(value, schema, "")]


def _broken(value: Any, before: Any, schema: Schema, path: str) -> Iterator[str]:
    """Yield the messages of the CEL rules that a value breaks. before: its predecessor, None or ABSENT when it has none."""
    yield from _told(value, ABSENT if before is None else before, schema, path)
    for name, child, inner, old in _children(value, before, schema):
        yield from _broken(child, old, inner, f"{path}{name}")


def _told(value: Any, before: Any, schema: Schema, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        transition = re.search(r"\boldSelf\b", rule["rule"]) is not None
        if transition and before is ABSENT:
            continue
        known = {"self": value, "oldSelf": before} if transition else {"self": value}
        try:
            holds = _program(rule["rule"]).execute(cel.Context(variables=known, functions=FUNCTIONS))
        except Exception as error:
            yield f"{path}: Invalid value: {rule['rule']}: {error!r}"
        else:
            if holds is not True:
                yield f"{path}: Invalid value: {rule['message']}"


def _doubled(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """Yield what is twice in a list that is a set or a map."""
    yield from _doubled_here(value, schema, path)
    for name, child, inner, _ in _children(value, None, schema):
        yield from _doubled(child, inner, f"{path}{name}")


def _doubled_here(value: Any, schema: Schema, path: str) -> Iterator[str]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    keys = [item if kind == "set" else tuple(item.get(key) for key in schema[MAP_KEYS]) for item in value]
    yield from (f"{path}: Duplicate value: {key!r}" for number, key in enumerate(keys) if key in keys[:number])


MAP_KEYS = "x-kubernetes-list-map-keys"


def _children(value: Any, before: Any, schema: Schema) -> Iterator[tuple[str, Any, Schema, Any]]:
    """Yield path, value, schema and predecessor of each part. Items of lists have one only in a list that is a map."""
    if isinstance(value, Mapping):
        old = before if isinstance(before, Mapping) else {}
        for name, child in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner is not None:
                yield f".{name}", child, inner, old.get(name, ABSENT)
    elif isinstance(value, list) and "items" in schema:
        keys = schema.get(MAP_KEYS, ())
        known = (
            {tuple(item.get(key) for key in keys): item for item in before} if keys and isinstance(before, list) else {}
        )
        for number, child in enumerate(value):
            old = known.get(tuple(child.get(key) for key in keys), ABSENT) if keys else ABSENT
            yield f"[{number}]", child, schema["items"], old


def _is_sorted(items: list[Any]) -> bool:
    """Kubernetes' own function of lists (CEL in Kubernetes, list library)."""
    return items == sorted(items)


def _lower_ascii(text: str) -> str:
    """A function of CEL's string extension."""
    return "".join(char.lower() if char.isascii() else char for char in text)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "isSorted": _is_sorted,
    "lowerAscii": _lower_ascii,
    "replace": lambda text, old, new: str(text).replace(str(old), str(new)),
}


@cache
def _program(rule: str) -> cel.Program:
    return cel.compile(rule)


@cache
def schemas() -> Mapping[tuple[str, str], Schema]:
    """Return the structural schema of each kind of ours, by apiVersion and kind."""
    found = {}
    for crd in definitions():
        spec = crd["spec"]
        version = spec["versions"][0]
        found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found


_validators: dict[int, jsonschema_rs.Draft7Validator] = {}


def _validator(schema: Schema) -> jsonschema_rs.Draft7Validator:
    """Return the validator of a part of `schemas()`, which stay, so that their identity stands for them."""
    if id(schema) not in _validators:
        formats = {"date-time": is_date_time}
        _validators[id(schema)] = jsonschema_rs.Draft7Validator(_closed(schema), validate_formats=True, formats=formats)
    return _validators[id(schema)]


_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


def is_date_time(text: str) -> bool:
    """Tell what the API server does of format date-time: it takes any offset, any separator of the fraction, and the year 0.

    Source: k8s.io/kube-openapi/pkg/validation/strfmt, IsDateTime.
    """
    parts = text.lower().split("t")
    date, time = _DATE.fullmatch(parts[0]), _TIME.match(parts[1]) if len(parts) > 1 else None
    if date is None or time is None or time.end() != len(parts[1]):
        return False
    year, month, day = map(int, date.groups())
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 1 <= month <= 12 and 1 <= day <= days[month - 1] and time[1] <= "23" and time[2] <= "59" and time[3] <= "59"


def _closed(schema: Any) -> Any:
    """Return the schema in the words of JSON Schema: no unknown fields, null where it is allowed, either of int-or-string."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        most = {"maxLength": schema["maxLength"]} if "maxLength" in schema else {}
        return {"anyOf": [{"type": "integer"}, {"type": "string", **most}]}
    closed = {
        name: ({key: _closed(part) for key, part in inner.items()} if name == "properties" else _closed(inner))
        for name, inner in schema.items()
        if not name.startswith("x-kubernetes") and name not in ("default", "nullable", "description")
    }
    if closed.get("format") == "int64":
        del closed["format"]
        closed = {"minimum": -(2**63), "maximum": 2**63 - 1, **closed}
    if "pattern" in closed:
        # Of white space Go knows the ASCII part (RE2, Perl character classes).
        closed["pattern"] = closed["pattern"].replace(r"[^\s", r"[^\t\n\f\r ")
    if "properties" in closed and "additionalProperties" not in closed and "preserve" not in str(schema.keys()):
        closed["additionalProperties"] = False
    return {"anyOf": [closed, {"type": "null"}]} if schema.get("nullable") else closed
