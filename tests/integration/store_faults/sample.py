"""How much is played: `MODELMILL_STORE_SHARE` is the share (1 plays all), `MODELMILL_STORE_SEED` chooses it.

`MODELMILL_STORE_CELL` plays what has it in its name.
"""

from __future__ import annotations

import os

SHARE = float(os.environ.get("MODELMILL_STORE_SHARE", "0.01"))
SEED = int(os.environ.get("MODELMILL_STORE_SEED", "1"))
ONLY = os.environ.get("MODELMILL_STORE_CELL", "")
