"""Runs on the cars in a real S3 store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.stages import BUCKET, Run, Store, car_data, cars, estimator

MakeRun = Callable[..., Run]
GATES = [{"metric": "r2", "minimum": 0.5}, {"metric": "mae", "maximum": 4}, {"min_improvement": 0.0}]


def s3_run(make_run: MakeRun, store: Store, **parts: Any) -> Run:
    """Return a run on the cars of 1970-73 that are in the store."""
    defaults: dict[str, Any] = {
        "store": {"uri": f"s3://{BUCKET}/models", "endpoint": store.endpoint},
        "data": car_data(f"s3://{BUCKET}/cars/"),
        "estimator": estimator(),
        "gates": GATES,
    }
    return make_run(**(defaults | parts))


def put_cars(store: Store, first: int = 1970, last: int = 1973) -> None:
    frame = cars()
    for year in range(first, last + 1):
        store.put(f"cars/{year}.csv", frame[frame["Year"] == year].to_csv(index=False))
