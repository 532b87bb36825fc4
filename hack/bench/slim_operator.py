"""The operator with the packages of its image only; it looks at everything every BENCH_LOOK_AGAIN_SECONDS when that is set.

structlog imports `rich` where it is installed, as it is for the tests.
"""

import os
import sys

sys.modules["rich"] = None

from modelmill import app  # noqa: E402 - after what is hidden
from modelmill.engine import runtime  # noqa: E402 - after what is hidden

if __name__ == "__main__":
    runtime.LOOK_AGAIN_SECONDS = float(os.environ.get("BENCH_LOOK_AGAIN_SECONDS", runtime.LOOK_AGAIN_SECONDS))
    sys.exit(app.main())
