"""model.skops: a zip archive of scikit-learn's objects, checked without making any of them."""

from __future__ import annotations

from pathlib import Path

from modelmill.artifacts.archive import Archive
from modelmill.artifacts.fitted import check_fitted
from modelmill.artifacts.limits import LIMITS, Limits, require_size
from modelmill.artifacts.parts import Parts


def check_skops(path: Path, limits: Limits = LIMITS) -> None:
    """Raise ArtifactInvalid for a file that scikit-learn's compiled code would follow out of its arrays.

    Which types a file may hold is skops' audit and SKOPS_TRUSTED, not asked here.
    """
    require_size(path, limits.file)
    with Archive.open(path, limits) as archive:
        parts = Parts(archive, limits)
        check_fitted(parts)
        parts.check_rest()
