"""status.monitoring of an InferenceService: what monitoring says, and what it goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from modelmill.api.base import StatusPart, Text, Timestamp, Word

Count = Annotated[int, Field(ge=0)]
FeatureName = Annotated[str, Field(max_length=128)]
MAX_PROBLEMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityStatus(StatusPart):
    """What labels that came within the window say of the version that serves."""

    labels: Annotated[Count, Field(description="Labels in the window.")]
    coverage: Annotated[Word | None, Field(description="Labels by predictions of the same time.")] = None
    delay: Annotated[Word | None, Field(description="Mean time from the answer to its label.")] = None
    error: Annotated[
        Word | None, Field(description="Share of wrong labels, or mean absolute error; left out without labels.")
    ] = None
    limit: Annotated[Word | None, Field(description="What the error is compared with.")] = None
    metrics: Annotated[
        dict[str, Word] | None,
        Field(description="Other metrics of the labels, by name.", json_schema_extra={"maxProperties": 16}),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringStatus(StatusPart):
    """What monitoring says. Numbers are rounded, and as old as measuredTime: each change is a write."""

    state: Annotated[
        Literal["NotConfigured", "Unknown", "NoData", "InsufficientData", "OK", "Pending", "Alert"],
        Field(
            description="NoData: no row came. InsufficientData: too few to judge by. Pending: something is wrong, and not for "
            "long enough. Alert: an alert fires for the stable version. Unknown: nothing was measured yet, or no pod "
            "answers."
        ),
    ]
    engine: Annotated[Literal["Prometheus", "Embedded"] | None, Field(description="Who raises the alerts.")] = None
    measured_time: Annotated[Timestamp | None, Field(description="When these numbers were taken.")] = None
    rows: Annotated[Count | None, Field(description="Rows in the window of spec.monitoring.drift.")] = None
    worst_feature: Annotated[
        FeatureName | None, Field(description="Feature whose shift weighs most, or prediction.")
    ] = None
    value: Annotated[Word | None, Field(description="Its PSI.")] = None
    share: Annotated[Word | None, Field(description="Share of the importance of the features that has shifted.")] = None
    prediction: Annotated[Word | None, Field(description="PSI of the prediction.")] = None
    problems: Annotated[
        tuple[Annotated[str, Field(max_length=256)], ...],
        Field(
            max_length=MAX_PROBLEMS,
            description="What is wrong with the data, by feature.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    quality: Annotated[QualityStatus | None, Field(description="What labels say; left out before the first.")] = None
    trained_time: Annotated[Timestamp | None, Field(description="When the version that serves was trained.")] = None
    fine_revision: Annotated[
        Word | None,
        Field(description="Revision that was judged and had not drifted: what comes later is Drift, and not Skew."),
    ] = None
    next: Annotated[Text | None, Field(description="What the loop does next, and when.")] = None
