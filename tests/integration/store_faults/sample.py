"""How much is played: `MODELMILL_STORE_SHARE` is the share (1 plays all), `MODELMILL_STORE_SEED` chooses it."""

from __future__ import annotations

import os

SHARE = float(os.environ.get("MODELMILL_STORE_SHARE", "0.01"))
SEED = int(os.environ.get("MODELMILL_STORE_SEED", "1"))
