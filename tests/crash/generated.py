"""Objects and statuses that a CRD takes, made up from its schema by a seed: odd on purpose, and valid all the same.

tests/unit/api/manifests.py makes likely ones with Hypothesis; here each value is taken from a table of what has broken programs
before, and a seed makes the same object again. Rules of CEL are kept at the level that has them: a part that breaks its own
is made anew.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelmill.api.base import API_VERSION
from modelmill.api.placement import LABEL_KEY, LABEL_VALUE
from modelmill.api.schedule import CRON_PATTERN, ZONE_PATTERN
from modelmill.contracts.estimators import PATTERN
from tests.crash.admission import MAP_KEYS, Object, Schema, defaulted, follows_rules, is_date_time, schemas

TRIES = 300
MOST_LESS = 3
BIG = 2**63 - 1
NUMBERS = (
    "nan", "NaN", "inf", "-inf", "1e999", "-1e999", "1e-999", "-0", "0x10", "1_000", "٣", "\uff11", "9" * 60, "", " ", "n/a",
)  # fmt: skip
TEXTS = (
    *NUMBERS, "a", "null", "true", "None", "x" * 5000, "é", "😀" * 5000, "\n", "\x00", "\x1b[31m", "\u202etxt", "$(HOME)", "$$",
    "{{ .x }}", "a\\b", '"', "'", "../..", "/", "-", ":", "%s", "\u017f", "²", "\u2028", "mpg", "hp", "=", ",",
    "a" * 128,
)  # fmt: skip
KEYS = (
    "r2", "mae", "alpha", "", " ", "a.b", "x" * 300, "😀", "nan", "cpu", "memory", "nvidia.com/gpu", "kubernetes.io/arch",
    "a/b/c", "-a", "A", "$(X)", "__proto__", "\n", "ephemeral-storage", "é",
)  # fmt: skip
TIMES = (
    "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z", "2030-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789+05:30",
    "2026-01-02t03:04:05z", "2026-01-02T03:04:05,5Z", "2026-01-02T03:04:05x5Z", "2026-01-02T03:04:05+99:99",
    "2026-01-02T03:04:05-24:00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59Z", "2026-01-02T03:04:05Ztwice",
)  # fmt: skip
TABLE: Mapping[str, Sequence[str]] = {
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$": ("cars", "cars", "cars", "other", "a", "c" * 44, "a-" * 21 + "b", "x0"),
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": ("cars", "cars-1", "cars-2", "0", "9" * 63, "a" * 63, "a--b"),
    r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$": (
        "0", "1", "100m", "0.5", "1Gi", "00001", "9" * 32, "1.5m", "0.0000000001", "12T",
    ),
    r"^-?[0-9]{1,15}(\.[0-9]{1,15})?([eE][-+]?[0-9]{1,2})?$": (
        "0", "-0", "0.2", "0.5", "1", "-1", "1e99", "1e-99", "-9e+99", "9" * 15, "0.000000000000001", "00.10",
        "0.999999999999999",
    ),
    r"^sha256:[0-9a-f]{64}$": ("sha256:" + "a" * 64, "sha256:" + "0" * 64, "sha256:" + "f1" * 32),
    r"^(s3|file)://[^\s?#]+$": (
        "s3://data/cars/", "s3://models/prod", "file:///data", "s3:///", "s3://😀/é", "s3://" + "x" * 1019, "s3://$(A)/$$",
        "file://../..", "s3://a/\x00", "s3://a/\xa0b", "s3://a//b/./..", "s3://%zz/%00", "s3://[/", "s3://a@b:c/d",
    ),
    r"^s3://[^\s?#]+$": ("s3://logs/cars", "s3://logs", "s3:///", "s3://😀/é", "s3://" + "x" * 1019, "s3://$(A)/$$", "s3://a/\x00"),
    r"^https?://[^\s]+$": (
        "http://s3:7070", "https://x", "http://[::1]:9", "http://[", "http://a:99999999", "http://" + "é" * 505, "http://$(HOME)",
        "http://a:b@c/?d#e", "http://\x00", "http://a:٣",
    ),
    r"^[a-z0-9-]+$": ("us-east-1", "-", "0", "-" * 64),
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": ("keys", "0", "a" * 253, "a..b", "a.-b", "a." * 126 + "a", "cars-1-6f2e4c"),
    f"^(Auto|{PATTERN})$": (
        "sklearn.linear_model.Ridge", "sklearn.a", "sklearn." + "x" * 192, "sklearn.__class__.__init__", "Auto",
        "xgboost.XGBRFRegressor", "lightgbm.LGBMClassifier",
    ),
    r"^[A-Za-z_][A-Za-z0-9_]*$": ("A", "HOME", "PATH", "_", "x" * 128, "LD_PRELOAD", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH"),
    r"^[a-zA-Z_][a-zA-Z0-9_]*$": ("r2", "mae", "_", "x" * 64, "__class__", "nan"),
    r"^[a-z0-9]+$": ("a", "0", "0123456789", "x" * 16),
    r"^[-._a-zA-Z0-9]+$": ("train.py", "..", ".", "-", "a" * 253, "A_b"),
    r"^[^\s]+$": ("a/b:1", "A", ":", "a/b@sha256:", "é", "x" * 512),
    CRON_PATTERN: ("0 3 * * 1", "* * * * *", "*/15 22-23 1 JAN SUN", "0 0 30 2 *", "59 23 31 12 7", "30-10 * * * *"),
    ZONE_PATTERN: ("UTC", "Asia/Seoul", "Europe/Berlin", "Nowhere/At-All", "a", "posixrules", "Etc/GMT+12"),
    r"^([1-9][0-9]{0,8}(\.[0-9]{1,9})?|0\.0{0,7}[1-9][0-9]?)[smhdw]$": ("30d", "1s", "999999999w", "0.00000001m", "1.5h"),
    r"^([1-9][0-9]{0,8}(\.[0-9]{1,9})?|0\.0{0,7}[1-9][0-9]?)[smhdw]?$": ("30d", "5", "999999999.999999999", "0.00000001"),
    LABEL_KEY: ("app", "a", "kubernetes.io/hostname", "a..b/c", "A_b.c-d", "x" * 63, "a" * 253 + "/" + "b" * 63),
    LABEL_VALUE: ("", "a", "fast", "7", "A_b.c-d", "x" * 63),
    r"^[A-Za-z_][A-Za-z0-9_.]*$": ("numpy.ndarray", "a", "_", "a..b", "x" * 256),
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": (
        "cars.example.com", "*.example.com", "a", "0.0", "a" * 253, "a--b.c",
    ),
    r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$": ("x-canary", "X", "!", "a" * 256, "%2f"),
    r"^[!-~]([ -~]*[!-~])?$": ("yes", "a b", '"', "~" * 1024, "$(HOME)"),
    r"^[A-Z][A-Za-z]*$": ("Spec", "Manual", "Alert", "Z", "X" * 32),
}  # fmt: skip
"""Texts by pattern: a pattern that a schema gets later must have its row."""
FIELDS: Mapping[str, Sequence[str]] = {
    "job": ("cars-1-0b6c6e", "gone", ""),
    "version": ("cars-1", "cars-2", "cars-99999999999999999999", "cars-", "gone-1", ""),
    "latestVersion": ("cars-1", "gone-1"),
    "champion": ("cars-1", "gone-1"),
}
"""Texts that are likely to name something, by field: half of the values come from here."""


class Generator:
    """Makes values of structural schemas. bold: how likely a field is given that may be left out.

    Replicas are few: a thousand pods take the surroundings long.
    """

    def __init__(self, seed: object, bold: float | None = None) -> None:
        self.random = random.Random(str(seed))
        self.bold = self.random.choice((0.1, 0.4, 0.9)) if bold is None else bold

    def one(self, kind: str, name: str, **parts: Any) -> Object:
        """Return an object of one of our kinds with a generated spec. parts: fields of the spec that are given."""
        schema = schemas()[API_VERSION, kind]["properties"]["spec"]
        for _ in range(TRIES):
            spec = {**self.value(schema), **parts}
            if follows_rules(defaulted(spec, schema), schema):
                break
        meta = {"name": name, "namespace": "ml", "annotations": self._annotations()}
        labels = {"modelmill.dev/model": str(spec.get("model"))} if kind == "ModelVersion" else {}
        return {"apiVersion": API_VERSION, "kind": kind, "metadata": {**meta, "labels": labels}, "spec": spec}

    def status(self, kind: str) -> Object:
        """Return a status that the schema takes, as anybody with the right to write it may leave."""
        status: Object = self.value(schemas()[API_VERSION, kind]["properties"]["status"])
        return status

    def _annotations(self) -> Object:
        names = [f"modelmill.dev/{name}" for name in ("run", "retry") if self.random.random() < 0.3]
        return {name: self.random.choice(TEXTS) for name in names}

    def value(self, schema: Schema, name: str = "") -> Any:
        """Return a value of the schema that keeps the schema's rules. Raises ValueError when none is found."""
        for _ in range(TRIES):
            made = self._value(schema, name)
            for less in (made, *self._lessened(made, schema)):
                if follows_rules(defaulted(less, schema), schema):
                    return less
        raise ValueError(f"no value of {name} keeps {schema.get('x-kubernetes-validations')}")

    def _lessened(self, made: Any, schema: Schema) -> Iterator[Any]:
        """Yield an object with one optional field less, then with two less, and so on: rules mostly forbid company."""
        if not isinstance(made, dict) or "properties" not in schema:
            return
        kept = {*schema.get("required", ()), *_alternatives(schema)}
        optional = [name for name in made if name not in kept]
        self.random.shuffle(optional)
        for count in range(1, min(len(optional), MOST_LESS) + 1):
            yield {name: value for name, value in made.items() if name not in optional[:count]}

    def _value(self, schema: Schema, name: str) -> Any:
        pick = self.random.choice
        if "enum" in schema:
            return pick(schema["enum"])
        if schema.get("x-kubernetes-int-or-string"):
            return pick((0, 1, -1, BIG, -BIG - 1)) if self.random.random() < 0.3 else self._text(schema, name)
        kind = schema["type"]
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema, name)
        if kind == "boolean":
            return pick((True, False))
        if kind == "integer":
            if name == "replicas":
                return pick((0, 1, 2, 3))
            least, most = schema.get("minimum", -BIG - 1), schema.get("maximum", BIG)
            small = min(most, least + self.random.randrange(5))
            return pick((least, small, small, most, schema.get("default", small), least + (most - least) // 2))
        return self._text(schema, name)

    def _object(self, schema: Schema) -> Object:
        if "properties" not in schema:
            most = schema["maxProperties"]
            wanted = self.random.choice((0, 1, 2, 2, min(most, len(KEYS)), most if self.random.random() < 0.1 else 1))
            keys = [*self.random.sample(KEYS, min(wanted, len(KEYS))), *(f"k{number}" for number in range(wanted))]
            return {key: self.value(schema["additionalProperties"], key) for key in keys[:wanted]}
        one = _alternatives(schema)
        chosen = self.random.choice(one) if one else None
        required = {*schema.get("required", ()), chosen}
        return {
            name: self.value(inner, name)
            for name, inner in schema["properties"].items()
            if name in required or (name not in one and self.random.random() < self.bold)
        }

    def _array(self, schema: Schema, name: str) -> list[Any]:
        least, most = schema.get("minItems", 0), schema["maxItems"]
        wanted = self.random.choice((least, 1, 1, 2, 3, most if self.random.random() < 0.2 else 1))
        items = [self.value(schema["items"], name) for _ in range(max(least, min(wanted, most)))]
        kind = schema.get("x-kubernetes-list-type")
        if kind not in ("set", "map"):
            return items
        keys = {item if kind == "set" else tuple(item.get(key) for key in schema[MAP_KEYS]): item for item in items}
        return list(keys.values())

    def _text(self, schema: Schema, name: str) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength", 253)
        if schema.get("format") == "date-time":
            return self.random.choice(TIMES if self.random.random() < 0.5 else TIMES[:3])
        if "pattern" in schema:
            return self.random.choice([text for text in TABLE[schema["pattern"]] if least <= len(text) <= most])
        table = FIELDS[name] if name in FIELDS and self.random.random() < 0.5 else TEXTS
        return self.random.choice([text[:most] for text in table if len(text) >= least])


def _alternatives(schema: Schema) -> Sequence[str]:
    """Return the fields of which an object has exactly one, as its rules say: by chance that would be rare."""
    messages = [str(rule.get("message", "")) for rule in schema.get("x-kubernetes-validations", ())]
    found = [re.fullmatch(r"set exactly one of ([a-zA-Z, ]+)", message) for message in messages]
    names = next((match[1].replace(" and ", ", ").split(", ") for match in found if match is not None), [])
    return names if set(names) <= set(schema["properties"]) else []


assert all(map(is_date_time, TIMES))
