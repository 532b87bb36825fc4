"""Logins of a kubeconfig that another program makes: exec plugins (EKS, GKE, AKS) and OIDC, by the `kubernetes` package.

For an operator outside a cluster only, mostly on a developer's machine. The package is imported when such a kubeconfig is
used and at no other time: the operator's image does not have it (docs/decisions/0005).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelmill.engine.errors import LoginError

PACKAGE = "kubernetes>=36,<37"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves who we are: a bearer token, or a client certificate with its key (files in PEM form).

    expires: seconds of the epoch from which the credentials are not to be used any more, None when nobody said.
    """

    token: str | None
    certificate: Path | None
    key: Path | None
    expires: float | None


def credentials(path: Path) -> Credentials:
    """Ask for the credentials of the kubeconfig's current user anew; blocks while a plugin or an issuer works.

    Raises LoginError with the words of the plugin.
    """
    try:
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException
        from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger
    except ImportError as error:
        raise LoginError(
            f"kubeconfig {path}: exec and auth-provider logins need the Python package kubernetes, which the operator's image "
            f"does not have: pip install '{PACKAGE}', or use a kubeconfig with a token or a certificate"
        ) from error
    with _complaints() as said:
        try:
            merger = KubeConfigMerger(str(path))
            # Refreshed OIDC tokens are saved: an issuer may take a refresh token once only.
            loader = KubeConfigLoader(merger.config, config_persister=merger.save_changes)
            loader.load_and_set(Configuration())
        except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
            raise LoginError(f"kubeconfig {path}: {error}") from error
    token = (getattr(loader, "token", None) or "").removeprefix("Bearer ") or None
    certificate, key = (getattr(loader, name, None) for name in ("cert_file", "key_file"))
    if token is None and not (certificate and key):
        why = "; ".join(said) or "it gave neither a token nor a certificate"
        raise LoginError(f"kubeconfig {path}: the login of the current context failed: {why}")
    expiry = getattr(loader, "expiry", None)
    return Credentials(
        token,
        Path(certificate) if certificate else None,
        Path(key) if key else None,
        expiry.timestamp() if expiry is not None else None,
    )


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what the package logs as an error in this thread: it does not raise when a plugin fails."""
    said: list[str] = []
    thread = threading.get_ident()

    class _Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                said.append(record.getMessage())

    handler = _Collect(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(handler)
