"""The modules of `hack/cluster` are run as a folder, so their names are found only with that folder on the path."""

from __future__ import annotations

import sys
from pathlib import Path

HACK = Path(__file__).resolve().parents[3] / "hack" / "cluster"
for folder in (HACK, HACK / "images" / "monitoring"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
