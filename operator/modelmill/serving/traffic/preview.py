"""The name of the Service in front of a version that has no traffic yet."""

from __future__ import annotations


def preview_name(service: str) -> str:
    """Return the name of the Service in front of a version that has no traffic yet."""
    return f"{service}-preview"
