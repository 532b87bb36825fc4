from __future__ import annotations

import pytest

from modelmill.contracts.artifact import CATEGORICAL, NUMERIC, TEXT, FeatureProfile, Tensor
from modelmill_trainer.report.columns import reference


@pytest.mark.parametrize(
    ("datatype", "profile", "told"),
    [
        ("BOOL", FeatureProfile(NUMERIC, (0.1, 0.85), (0.5,), missing_ratio=0.05), "true 85%, false 10%"),
        ("BOOL", FeatureProfile(NUMERIC, (0.75, 0.25), (0.5,)), "false 75%, true 25%"),
        ("BOOL", FeatureProfile(NUMERIC, (1.0,)), "one value only"),
        ("FP64", FeatureProfile(NUMERIC, (1.0,)), "one value only"),
        ("FP64", FeatureProfile(NUMERIC, (0.5, 0.5), (0.5,)), "2 bins, edge 0.5"),
        ("FP64", FeatureProfile(NUMERIC, (0.5, 0.3, 0.2), (1.25, 1000.0)), "3 bins, edges 1.25 to 1,000"),
        ("FP64", FeatureProfile(NUMERIC, (0.5, 0.3, 0.2), (10000070.5, 10000636.5)), "3 bins, edges 10,000,070 to 10,000,636"),
        ("BYTES", FeatureProfile(CATEGORICAL, (0.6, 0.4), categories=("a", "b")), "a 60%, b 40%"),
        ("BYTES", FeatureProfile(CATEGORICAL, (0.1,) * 10, categories=tuple("abcdefghij")),
         "a 10%, b 10%, c 10%, d 10%, e 10%, f 10%, g 10%, h 10%"),
        ("BYTES", FeatureProfile(TEXT, (0.5, 0.3, 0.2), (12.5, 1000.0)), "3 bins, edges 12.5 to 1,000 characters"),
        ("BYTES", FeatureProfile(TEXT, (0.5, 0.5), (3.0,)), "2 bins, edge 3 characters"),
        ("BYTES", FeatureProfile(TEXT, (1.0,)), "one length only"),
    ],
)  # fmt: skip
def test_what_live_values_are_compared_with(datatype: str, profile: FeatureProfile, told: str) -> None:
    assert reference(Tensor("x", datatype, (-1,)), profile) == told
