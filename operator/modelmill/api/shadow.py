"""spec.rollout.shadow of an InferenceService: a new version that answers a sample of the live requests, unseen by clients."""

from __future__ import annotations

from pydantic import Field

from modelmill.api.base import Decimal, Part, rules


class Tolerance(Part):
    """How far numbers with a fraction may lie apart; labels and whole numbers must be equal."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("double(self.relative) >= 0.0 && double(self.absolute) >= 0.0", "relative and absolute must be 0 or more")
        )
    }
    relative: Decimal = Field(default="0.05", description="Share of the live number, e.g. '0.05' for 5 %.")
    absolute: Decimal = Field(default="0", description="Added to it, in the unit of the number.")


class Shadow(Part):
    """The new version gets a copy of a sample of the live requests. Its answers are compared and thrown away."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "double(self.sampleRatio) > 0.0 && double(self.sampleRatio) <= 1.0",
                "sampleRatio of a shadow must be above 0 and at most 1: it is what is compared",
            )
        )
    }
    sample_ratio: Decimal = Field(
        default="0.1", description="Share of the requests over HTTP that is mirrored, e.g. '0.1' for 10 %."
    )
    seconds: int = Field(default=600, ge=1, le=604_800, description="Time to mirror and measure.")
    replicas: int = Field(default=1, ge=1, le=1000, description="Pods of the new version in that time.")
    tolerance: Tolerance = Field(default_factory=Tolerance, description="What answers agree within.")
