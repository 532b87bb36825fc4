"""The operator with no more packages than its image has, and a resync every BENCH_RESYNC_SECONDS when that is set.

kopf imports `kubernetes` and structlog imports `rich` where they are installed, as they are for the tests.
"""

import os
import sys

sys.modules.update(dict.fromkeys(("kubernetes", "rich")))

from modelmill import app  # noqa: E402 - after what is hidden
from modelmill.engine import runtime  # noqa: E402 - after what is hidden

if __name__ == "__main__":
    runtime.RESYNC_SECONDS = float(os.environ.get("BENCH_RESYNC_SECONDS", runtime.RESYNC_SECONDS))
    sys.exit(app.main())
