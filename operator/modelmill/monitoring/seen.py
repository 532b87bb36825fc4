"""What the words about monitoring go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from modelmill.api.base import Alert
from modelmill.api.base import Condition as Recorded
from modelmill.api.monitoring import Monitoring
from modelmill.api.training_job_status import TrainingJobStatus
from modelmill.monitoring.engine import Engine
from modelmill.monitoring.evaluating import Evaluation
from modelmill.monitoring.observing import Observed

State = Literal["Unknown", "NoData", "InsufficientData", "OK", "Pending", "Alert"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the telling goes by. namespace: of the service. stable: version that serves; answers: whether a pod is ready.

    observed, found: None before the pods were asked. alerts: those that fire about the stable version. coming: version that is
    being rolled out. told: conditions of the status.
    """

    namespace: str
    monitoring: Monitoring
    engine: Engine
    stable: str | None
    answers: bool
    observed: Observed | None
    found: Evaluation | None
    alerts: Sequence[Alert]
    job: TrainingJobStatus | None
    now: datetime
    coming: str | None = None
    told: Sequence[Recorded] = ()
