"""The estimators that the built-in train stage fits, by import path."""

from __future__ import annotations

from typing import Final

BOOSTERS: Final[dict[str, str]] = {
    "xgboost.XGBClassifier": "xgboost",
    "xgboost.XGBRegressor": "xgboost",
    "xgboost.XGBRFClassifier": "xgboost",
    "xgboost.XGBRFRegressor": "xgboost",
    "lightgbm.LGBMClassifier": "lightgbm",
    "lightgbm.LGBMRegressor": "lightgbm",
}
"""Those of other libraries than scikit-learn, with the format that each is published in."""
_WORD: Final = "[A-Za-z_][A-Za-z0-9_]*"
PATTERN: Final = rf"sklearn(\.{_WORD})+|{'|'.join(path.replace('.', chr(92) + '.') for path in BOOSTERS)}"
"""A regular expression, without anchors, of the import paths."""
