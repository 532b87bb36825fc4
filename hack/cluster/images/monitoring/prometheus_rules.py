"""Give Prometheus the rules of all ConfigMaps with the label modelmill.dev/prometheus-rules=true, and reload it on a change.

What the sidecars of common Prometheus and Grafana charts do: every key of a labelled ConfigMap of any namespace becomes a file.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
QUERY = "labelSelector=modelmill.dev/prometheus-rules%3Dtrue"
POLL_SECONDS = 2.0


def wanted() -> dict[str, str]:
    """Return the content of every rule file by its name."""
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
    tls = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    call = urllib.request.Request(f"{server}/api/v1/configmaps?{QUERY}", headers=headers)
    with urllib.request.urlopen(call, timeout=10, context=tls) as answer:
        items = json.load(answer)["items"]
    return {
        # Equal keys in ConfigMaps of two namespaces are two files.
        f"{item['metadata']['namespace']}.{item['metadata']['name']}.{key}": text
        for item in items
        for key, text in (item.get("data") or {}).items()
        if key.endswith(".yaml")
    }


def write(folder: Path, files: dict[str, str]) -> None:
    """Make the folder hold just these files."""
    for old in folder.glob("*.yaml"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


def main() -> None:
    folder, url = Path(sys.argv[1]), sys.argv[2]
    loaded: dict[str, str] | None = None
    while True:
        try:
            files = wanted()
            if files != loaded:
                write(folder, files)
                urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10).close()
                loaded = files
                print(f"reloaded with {sorted(files) or 'no rules'}", flush=True)
        except OSError as error:
            # Prometheus is not up yet, refuses the rules, or the API server does not answer: try again.
            print(f"not reloaded: {error}", flush=True)
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
