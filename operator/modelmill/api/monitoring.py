"""spec.monitoring of an InferenceService: what is watched while the model serves, and what an alert does."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from modelmill.api.base import Decimal, Name, Part, rules

DRIFT: Final = "Drift"
SKEW: Final = "Skew"
QUALITY: Final = "Quality"
STALENESS: Final = "Staleness"
DATA_QUALITY: Final = "DataQuality"
ERRORS: Final = "Errors"
KINDS: Final = (DRIFT, SKEW, QUALITY, STALENESS, DATA_QUALITY, ERRORS)
"""Kinds of alerts; see docs/reference/monitoring.md."""


QUALITY_LASTING: Final = 300.0
"""Longest time that worse predictions must last, s."""
ERRORS_LASTING: Final = 60.0
EMBEDDED_PREFIX: Final = "embedded-"
"""Of the identities of alerts that the operator found itself."""


class DriftMonitoring(Part):
    """When what is asked counts as drifted from the training data."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "double(self.minShare) > 0.0 && double(self.minShare) <= 1.0",
                "minShare must be above 0 and at most 1",
            ),
            (
                "double(self.psiThreshold) > 0.0 && double(self.psiThreshold) <= 100.0",
                "psiThreshold must be above 0 and at most 100",
            ),
        )
    }
    psi_threshold: Decimal = Field(
        default="0.2",
        description="Population stability index, without what chance adds, above which a feature or the prediction has "
        "shifted: above 0, at most 100.",
    )
    min_share: Decimal = Field(
        default="0.3",
        description="Share of the importance of the watched features that must have shifted. A shift of the prediction "
        "counts whatever its features do.",
    )
    window_seconds: int = Field(default=3600, ge=30, le=2_592_000, description="Time that is looked at.")
    min_rows: int = Field(
        default=500,
        ge=20,
        le=100_000_000,
        description="Fewest rows in the window. With fewer there is too little to judge by, which is told.",
    )
    features: int = Field(default=10, ge=1, le=100, description="How many features are watched, most important first.")
    for_seconds: int | None = Field(
        default=None,
        ge=0,
        le=2_592_000,
        description="How long it must last before the alert fires. Left out: as long as the window, which then has rows of "
        "the changed time only.",
    )

    @property
    def lasting_seconds(self) -> int:
        """How long it must last, s."""
        return self.window_seconds if self.for_seconds is None else self.for_seconds


class QualityMonitoring(Part):
    """When predictions count as worse than on the hold-out, by labels that come later."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("!has(self.maximum) || double(self.maximum) > 0.0", "maximum must be above 0"),
        )
    }
    maximum: Decimal | None = Field(
        default=None,
        description="Greatest error that is borne: share of wrong labels of a classifier, mean absolute error of a regression. "
        "Left out: a quarter more than on the version's hold-out, and at least 0.05 more of wrong labels.",
    )
    window_seconds: int = Field(
        default=86_400, ge=30, le=2_592_000, description="Time whose labels are looked at, by when they came."
    )
    min_labels: int = Field(
        default=100, ge=20, le=100_000_000, description="Fewest labels in the window; with fewer nothing is judged."
    )


class StalenessMonitoring(Part):
    """When the model counts as too old."""

    max_age_seconds: int = Field(
        ge=60, le=315_360_000, description="Greatest time since the training of the version that serves ended."
    )


class RetrainOn(Part):
    """What an alert does."""

    training_job: Name = Field(description="TrainingJob of the namespace to run; it must have triggers.alerts.enabled.")
    alerts: list[Literal["Drift", "Skew", "Quality", "Staleness"]] = Field(
        min_length=1,
        max_length=4,
        description="Kinds of alerts that start a run. What is wrong with the data (DataQuality) and with the server (Errors) "
        "is for a person, and starts none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class RollbackOn(Part):
    """When the version that served before comes back by itself: once for each version, and only while the newest approved
    version is followed.
    """

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("self.onQuality || self.onErrors", "set onQuality or onErrors, or leave rollback out"),
        )
    }
    on_quality: bool = Field(
        default=True,
        description="An alert of kind Quality: labels say that the predictions are worse than on the hold-out.",
    )
    on_errors: bool = Field(
        default=False,
        description="An alert of kind Errors: too many requests are answered with 5xx. Load makes such errors too, against "
        "which another version does not help.",
    )
    within_seconds: int = Field(
        default=86_400,
        ge=60,
        le=2_592_000,
        description="Time after the promotion of the version in which the alert must begin.",
    )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of alerts for which the version before comes back."""
        return (QUALITY,) * self.on_quality + (ERRORS,) * self.on_errors


class Monitoring(Part):
    """What is watched while the model serves."""

    engine: Literal["Auto", "Prometheus", "Embedded"] = Field(
        default="Auto",
        description="Who raises the alerts. Prometheus: rules that it evaluates, and Alertmanager, which delivers. Embedded: "
        "the operator. Auto: Prometheus where the API server knows PrometheusRules, else Embedded.",
    )
    drift: DriftMonitoring = Field(default_factory=DriftMonitoring, description="When what is asked has drifted.")
    quality: QualityMonitoring = Field(
        default_factory=QualityMonitoring, description="When the predictions are worse, as far as labels come."
    )
    staleness: StalenessMonitoring | None = Field(
        default=None, description="When the model is too old. Left out: at no age."
    )
    retrain: RetrainOn | None = Field(default=None, description="What an alert does. Left out: it is only shown.")

    def lasting_seconds(self, kind: str) -> float:
        """How long what an alert of this kind tells must have lasted before it fires, s."""
        if kind in (DRIFT, SKEW):
            return float(self.drift.lasting_seconds)
        lasting = {
            QUALITY: min(QUALITY_LASTING, self.quality.window_seconds / 12),
            DATA_QUALITY: self.drift.window_seconds / 4,
            ERRORS: ERRORS_LASTING,
        }
        return lasting.get(kind, 0.0)

    rollback: RollbackOn | None = Field(
        default=None,
        description="For which alerts about a version that was promoted not long ago the version before comes back by itself. "
        "Left out: for none.",
    )
