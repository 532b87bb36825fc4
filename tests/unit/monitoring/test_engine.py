from __future__ import annotations

import pytest

from modelmill.monitoring.engine import effective


@pytest.mark.parametrize("served", [True, False])
def test_who_is_named_raises_the_alerts(served: bool) -> None:
    assert effective("Prometheus", rules_served=served) == "Prometheus"
    assert effective("Embedded", rules_served=served) == "Embedded"


def test_auto_goes_by_what_is_served() -> None:
    assert effective("Auto", rules_served=True) == "Prometheus"
    assert effective("Auto", rules_served=False) == "Embedded"
