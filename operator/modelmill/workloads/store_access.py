"""How a container gets the credentials and the address of a store. The operator itself never reads a Secret."""

from __future__ import annotations

from typing import Any

from modelmill.api.base import StoreAccess
from modelmill.contracts import names


def verbatim(text: str) -> str:
    """Return the value of a variable that a container then sees as `text`: Kubernetes expands `$(NAME)` and `$$` in it."""
    return text.replace("$", "$$")


def of_secret(name: str, key: str) -> dict[str, Any]:
    """Return where the value of a variable comes from: a key of a Secret."""
    return {"secretKeyRef": {"name": name, "key": key}}


def store_environment(store: StoreAccess) -> list[dict[str, Any]]:
    """Return the `env` entries of a container that uses the store."""
    env: list[dict[str, Any]] = [{"name": names.ENV_REGION, "value": store.region or "us-east-1"}]
    if store.endpoint:
        env.append({"name": names.ENV_ENDPOINT, "value": verbatim(store.endpoint)})
    if store.secret_ref is not None:
        env += [
            {"name": key, "valueFrom": of_secret(store.secret_ref.name, key)}
            for key in (names.ENV_ACCESS_KEY, names.ENV_SECRET_KEY)
        ]
    return env
