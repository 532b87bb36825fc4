"""The little that the tool itself asks the API server, with the standard library."""

from __future__ import annotations

import json
import ssl
import tempfile
import urllib.error
import urllib.request
from base64 import b64decode
from pathlib import Path
from typing import Any

from binaries import binary, build
from progress import output


class ApiClient:
    """Reads from the API server that a kubeconfig of ours names."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        authority = b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"]))
            pair.flush()
            self._tls.load_cert_chain(pair.name)
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls))
        self._opener = urllib.request.build_opener(*handlers)

    def text(self, path: str) -> str | None:
        """The body of a GET, or None when the server does not answer or answers with an error."""
        try:
            with self._opener.open(self.server + path, timeout=5) as response:
                return str(response.read().decode())
        except (urllib.error.URLError, ConnectionError, TimeoutError, ssl.SSLError):
            return None

    def get(self, path: str) -> dict[str, Any] | None:
        """The object of a GET, or None."""
        text = self.text(path)
        return json.loads(text) if text is not None else None

    def ready(self) -> bool:
        """Whether the API server calls itself ready."""
        return self.text("/readyz") == "ok"

    def node_ready(self, name: str) -> bool:
        """Whether a node is Ready and may be scheduled to."""
        node = self.get(f"/api/v1/nodes/{name}") or {}
        conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions", [])}
        return conditions.get("Ready") == "True" and not node.get("spec", {}).get("taints")


def kubectl(kubeconfig: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run the kubectl that was built beside the API server and return what it printed."""
    build("kubectl")
    return output([binary("kubectl"), "--kubeconfig", str(kubeconfig), *arguments], stdin=stdin)


def apply(kubeconfig: Path, manifests: str) -> None:
    """Apply manifests (YAML or JSON text) by server-side apply."""
    flags = ["--server-side", "--force-conflicts", "--field-manager=modelmill-cluster", "--filename", "-"]
    kubectl(kubeconfig, "apply", *flags, stdin=manifests)
