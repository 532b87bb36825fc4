"""Tell Prometheus which pods to scrape, because Debian builds it without its Kubernetes discovery.

Watches all pods and writes those with the annotation `prometheus.io/scrape: "true"` to a file that Prometheus follows
(`file_sd_configs`). The labels are the ones its own discovery and a relabelling would give: namespace, pod, and the
pod's labels of the groups app.kubernetes.io and modelmill.dev.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KEPT_LABELS = ("app.kubernetes.io/", "modelmill.dev/")
WATCH_SECONDS = 300
Pods = dict[str, dict[str, Any]]


def request(query: str) -> Any:
    """An open answer of the API server's pod collection."""
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
    tls = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    call = urllib.request.Request(f"{server}/api/v1/pods?{query}", headers=headers)
    return urllib.request.urlopen(call, timeout=WATCH_SECONDS + 30, context=tls)


def target(pod: dict[str, Any]) -> dict[str, Any] | None:
    """The entry of a pod, or None when it is not to be scraped now."""
    metadata, status = pod["metadata"], pod.get("status", {})
    annotations = metadata.get("annotations", {})
    if annotations.get("prometheus.io/scrape") != "true" or status.get("phase") != "Running" or not status.get("podIP"):
        return None
    labels = {"namespace": metadata["namespace"], "pod": metadata["name"]}
    labels["__metrics_path__"] = annotations.get("prometheus.io/path", "/metrics")
    for key, value in metadata.get("labels", {}).items():
        if key.startswith(KEPT_LABELS):
            labels[re.sub(r"[^a-zA-Z0-9_]", "_", key)] = value
    return {"targets": [f"{status['podIP']}:{annotations.get('prometheus.io/port', '80')}"], "labels": labels}


def snapshots() -> Iterator[Pods]:
    """All pods by uid: once at the start, and again after each change, until the watch ends."""
    with request("resourceVersion=0") as answer:
        listed = json.load(answer)
    pods: Pods = {pod["metadata"]["uid"]: pod for pod in listed["items"]}
    yield pods
    version = listed["metadata"]["resourceVersion"]
    with request(f"watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}") as events:
        for line in events:
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            uid = event["object"]["metadata"]["uid"]
            if event["type"] == "DELETED":
                pods.pop(uid, None)
            else:
                pods[uid] = event["object"]
            yield pods


def main() -> None:
    file, written = Path(sys.argv[1]), ""
    while True:
        try:
            for pods in snapshots():
                text = json.dumps([entry for uid in sorted(pods) if (entry := target(pods[uid]))], indent=1)
                if text != written:
                    new = file.with_suffix(".new")
                    new.write_text(text)
                    new.replace(file)
                    written = text
        except OSError as error:
            print(f"the watch broke, starting again: {error}", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
