"""The OpenAPI document of a model that is not there: only its routes are."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

from modelmill.contracts.artifact import Signature
from modelmill_server.protocols import table
from modelmill_server.protocols.openapi import About, document


def described(name: str, version: str, signature: Signature) -> dict[str, Any]:
    """Return the document."""
    about = About(name, version, signature)
    return document(about, (*table.of_server(MagicMock()), *table.of_model(about, MagicMock())))
