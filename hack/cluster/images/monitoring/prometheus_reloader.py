"""Tell Prometheus to read its rules again whenever the mounted ConfigMap changes."""

from __future__ import annotations

import sys
import time
import urllib.request
from pathlib import Path

POLL_SECONDS = 1.0


def state(folder: Path) -> dict[str, str]:
    """The rule files and their content; Kubernetes swaps the whole folder at once."""
    return {path.name: path.read_text() for path in folder.glob("*.y*ml")}


def main() -> None:
    folder, url = Path(sys.argv[1]), sys.argv[2]
    seen: dict[str, str] = {}
    while True:
        try:
            now = state(folder)
            if now != seen:
                urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10).close()
                seen = now
                print(f"reloaded with {sorted(now) or 'no rules'}", flush=True)
        except OSError as error:
            # Prometheus is not up yet, refuses the rules, or the folder was being swapped: try again.
            print(f"not reloaded: {error}", flush=True)
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
