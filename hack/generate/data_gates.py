"""Write docs/reference/data-gates.md from what the data gates say of corrupted data; with --check only compare (3 s)."""

from __future__ import annotations

import sys

from hack.data_gates.page import PATH, page
from hack.generated import keep


def main() -> int:
    """Return 0 when the page is up to date or was written."""
    return keep({PATH: page()})


if __name__ == "__main__":
    sys.exit(main())
