"""Hyperparameters as a train container gets them: environment variables, one for all and one for each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from modelmill.contracts.names import ENV_PARAM_PREFIX, ENV_PARAMS

_OTHER: Final = re.compile(r"[^A-Z0-9_]")


def environment(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return MODELMILL_PARAMS, a JSON object, and MODELMILL_PARAM_<NAME> for each parameter.

    NAME: in capitals, other characters than letters and digits as `_`; of two names that become one, the last in order has it.
    Texts stand as they are, other values as JSON writes them. No value is expanded: Kubernetes does so with `$(NAME)` and `$$`
    (API reference, EnvVar), so that a `$` is written twice, and in the JSON as an escape.
    """
    whole = json.dumps(dict(parameters), sort_keys=True, separators=(",", ":"), allow_nan=False)
    single = {
        f"{ENV_PARAM_PREFIX}{_OTHER.sub('_', name.upper())}": _text(parameters[name]).replace("$", "$$")
        for name in sorted(parameters)
    }
    return {ENV_PARAMS: whole.replace("$", "\\u0024"), **single}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, allow_nan=False)
