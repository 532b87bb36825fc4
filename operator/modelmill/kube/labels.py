"""Names of labels, annotations and finalizers that the operator writes or reads."""

from __future__ import annotations

from typing import Final

GROUP: Final = "modelmill.dev"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "modelmill"
TRAINING_JOB_LABEL: Final = f"{GROUP}/training-job"
RUN_LABEL: Final = f"{GROUP}/run-number"
STEP_LABEL: Final = f"{GROUP}/step"
TRIAL_LABEL: Final = f"{GROUP}/trial"
MODEL_LABEL: Final = f"{GROUP}/model"
VERSION_LABEL: Final = f"{GROUP}/model-version"
SERVICE_LABEL: Final = f"{GROUP}/inference-service"
REVISION_LABEL: Final = f"{GROUP}/revision"
REMOVES_LABEL: Final = f"{GROUP}/removes-version"
IMPORTS_LABEL: Final = f"{GROUP}/imports-version"
BATCH_LABEL: Final = f"{GROUP}/scores-for"
REPORT_LABEL: Final = f"{GROUP}/reports-on"
OWNER_UID_LABEL: Final = f"{GROUP}/owner-uid"
RULES_LABEL: Final = f"{GROUP}/prometheus-rules"

RUN_ANNOTATION: Final = f"{GROUP}/run"
REPRODUCE_ANNOTATION: Final = f"{GROUP}/reproduce"
RETRY_ANNOTATION: Final = f"{GROUP}/retry"
PAUSE_ANNOTATION: Final = f"{GROUP}/pause"
RESUME_ANNOTATION: Final = f"{GROUP}/resume"
PROMOTE_ANNOTATION: Final = f"{GROUP}/promote"
PROMOTE_FULL_ANNOTATION: Final = f"{GROUP}/promote-full"
ABORT_ANNOTATION: Final = f"{GROUP}/abort"
ROLLBACK_ANNOTATION: Final = f"{GROUP}/rollback"
BATCH_ANNOTATION: Final = f"{GROUP}/batch"
REPORT_ANNOTATION: Final = f"{GROUP}/report"
REFRESH_ANNOTATION: Final = f"{GROUP}/refresh"
POD_TEMPLATE_ANNOTATION: Final = f"{GROUP}/pod-template"
SPEC_HASH_ANNOTATION: Final = f"{GROUP}/spec-hash"

IN_USE_FINALIZER: Final = f"{GROUP}/in-use"
