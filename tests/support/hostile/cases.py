"""Every hostile file."""

from __future__ import annotations

from tests.support.hostile import boosters, estimators, graphs

TABLES = (estimators.TABLE, boosters.XGBOOST, boosters.LIGHTGBM, graphs.TABLE)
CASES = [case for table in TABLES for case in table.cases]
