"""Names that both sides of a process boundary use: environment, files, ports, labels, metrics, exit codes."""

from __future__ import annotations

from typing import Final

# Environment of the stages of a training pod (any image can be the `train` stage).
ENV_INPUT: Final = "MODELMILL_INPUT"  # folder: train/, champion/ when there is one, params.json
ENV_OUTPUT: Final = "MODELMILL_OUTPUT"  # folder to leave the model in
ENV_HOLDOUT: Final = "MODELMILL_HOLDOUT"  # folder with the hold-out rows; not mounted in train
ENV_EVALUATED: Final = "MODELMILL_EVALUATED"  # folder from evaluate to publish; without it publish evaluates by itself
ENV_METRICS: Final = "MODELMILL_METRICS"  # file for {"metrics": {name: number}} of the train stage itself
ENV_THREADS: Final = "OMP_NUM_THREADS"  # of OpenMP, by which OpenBLAS goes as well
ENV_PARAMS: Final = "MODELMILL_PARAMS"  # hyperparameters as JSON
ENV_PARAM_PREFIX: Final = "MODELMILL_PARAM_"  # + upper-cased name: one hyperparameter
ENV_TRIAL: Final = "MODELMILL_TRIAL"  # index of the trial of a search; not set in a run without one
ENV_RAW: Final = "MODELMILL_RAW"  # folder from fetch to a prepare stage: the objects of the data under their names
ENV_PREPARED: Final = "MODELMILL_PREPARED"  # folder from a prepare stage to divide: rows
ENV_SCRIPT: Final = "MODELMILL_SCRIPT"  # folder with the ConfigMap of a script, for fetch
ENV_TRIALS: Final = "MODELMILL_TRIALS"  # folder with a file for each trial of the search that chose the parameters
ENV_REPORT_URL: Final = "MODELMILL_REPORT_URL"  # where a trial of a search with pruning reports by POST
ENV_REPORT_TOKEN: Final = "MODELMILL_REPORT_TOKEN"  # file with the bearer token for it, which is renewed
ENV_SEED: Final = "MODELMILL_SEED"
ENV_RUN: Final = "MODELMILL_RUN"
ENV_STAGE: Final = "MODELMILL_STAGE"  # JSON of stage.StageSpec, for every built-in stage
ENV_TERMINATION_PATH: Final = "MODELMILL_TERMINATION_PATH"  # default /dev/termination-log

# Who a token of a trial is for: nobody else takes it.
REPORTS_AUDIENCE: Final = "modelmill-trial-reports"

# Containers of a training pod.
STAGE_FETCH: Final = "fetch"
STAGE_PREPARE: Final = "prepare"  # an image of the user, between fetch and divide; optional
STAGE_DIVIDE: Final = "divide"  # rows to train on and to measure on, of what prepare left
STAGE_TRAIN: Final = "train"
STAGE_SCRIPT: Final = "script"  # what the container train does with a script; no container of this name
STAGE_EVALUATE: Final = "evaluate"
STAGE_PUBLISH: Final = "publish"
STAGE_SCORE: Final = "score"  # the last container of a trial

# The container of the pod that removes the artifact of a deleted version. Its environment is that of a serving pod's fetch.
STAGE_REMOVE: Final = "remove"

# The container of the pod that imports a foreign model, and the JSON of imports.ImportSpec that it is told.
STAGE_IMPORT: Final = "import"
ENV_IMPORT: Final = "MODELMILL_IMPORT"
# The container of the pod that looks for new data.
STAGE_LOOK: Final = "look"
# The container of the pod that writes a drift report, the JSON of drift_report.ReportSpec that it is told, and the folder with
# the counts (counts.COUNTS_KEY).
STAGE_DRIFT_REPORT: Final = "drift-report"
ENV_REPORT: Final = "MODELMILL_REPORT"
ENV_COUNTS: Final = "MODELMILL_COUNTS"
# The container of a pod that scores a prefix, and the JSON of batch.BatchSpec that it is told.
STAGE_BATCH: Final = "batch"
ENV_BATCH: Final = "MODELMILL_BATCH"
ENV_PARTITION: Final = "JOB_COMPLETION_INDEX"  # set by Kubernetes in the pods of an Indexed Job

# Exit codes of the built-in stages and of the server's fetch.
EXIT_RETRY: Final = 1  # may go away by itself: the store is down, a connection was cut
EXIT_FINAL: Final = 3  # will not go away by itself: wrong credentials, missing column, unknown estimator

# Files of an artifact.
MANIFEST_FILE: Final = "manifest.json"
PROFILE_FILE: Final = "profile.json"
GOLDEN_FILE: Final = "golden.json"
REPORT_FILE: Final = "report.html"
ONNX_FILE: Final = "model.onnx"
SKOPS_FILE: Final = "model.skops"
DATA_FILE: Final = "data.json"  # snapshot of the training data: objects with size and sha256
ROWS_FILE: Final = "rows.bin"  # digests of the rows that were trained on; only the next run's comparison reads it
SCHEMA_FILE: Final = "schema.json"  # what each column of the data looked like; only the next run's data gates read it
NOT_SERVED: Final = frozenset(
    {REPORT_FILE, ROWS_FILE, SCHEMA_FILE}
)  # of an artifact; the server neither fetches nor reads them

# Credentials, as the AWS SDKs name them; keys of the Secret that `store.secretRef` names.
ENV_ACCESS_KEY: Final = "AWS_ACCESS_KEY_ID"
ENV_SECRET_KEY: Final = "AWS_SECRET_ACCESS_KEY"
ENV_ENDPOINT: Final = "AWS_ENDPOINT_URL_S3"
ENV_REGION: Final = "AWS_REGION"

HTTP_PORT: Final = 8080
GRPC_PORT: Final = 8081

# Environment of a serving pod.
ENV_MODEL_NAME: Final = "MODELMILL_MODEL_NAME"  # name in the URL paths: the InferenceService's model
ENV_MODEL_VERSION: Final = "MODELMILL_MODEL_VERSION"  # name of the ModelVersion
ENV_ARTIFACT_URI: Final = "MODELMILL_ARTIFACT_URI"
ENV_ARTIFACT_DIGEST: Final = "MODELMILL_ARTIFACT_DIGEST"
ENV_MODEL_FOLDER: Final = "MODELMILL_MODEL_FOLDER"
ENV_MAX_REQUEST_BYTES: Final = "MODELMILL_MAX_REQUEST_BYTES"
ENV_MAX_ROWS: Final = "MODELMILL_MAX_ROWS"
ENV_MAX_CONCURRENT: Final = "MODELMILL_MAX_CONCURRENT_REQUESTS"
ENV_DRIFT_FEATURES: Final = "MODELMILL_DRIFT_FEATURES"  # how many features are counted, most important first
ENV_WARMUP_REQUESTS: Final = "MODELMILL_WARMUP_REQUESTS"
ENV_MAX_CONNECTIONS: Final = "MODELMILL_MAX_CONNECTIONS"
ENV_FETCH_SECONDS: Final = "MODELMILL_FETCH_SECONDS"
ENV_LOAD_SECONDS: Final = "MODELMILL_LOAD_SECONDS"
ENV_ROW_SECONDS: Final = "MODELMILL_ROW_SECONDS"
ENV_REQUEST_SECONDS: Final = "MODELMILL_REQUEST_SECONDS"
ENV_BODY_SECONDS: Final = "MODELMILL_BODY_SECONDS"
ENV_IDLE_SECONDS: Final = "MODELMILL_IDLE_SECONDS"
ENV_DRAIN_SECONDS: Final = "MODELMILL_DRAIN_SECONDS"
ENV_GRPC_PORT: Final = "MODELMILL_GRPC_PORT"  # 0 for none
ENV_BATCHING: Final = "MODELMILL_BATCHING"  # auto, on, off
ENV_SKOPS_TRUSTED: Final = "MODELMILL_SKOPS_TRUSTED"  # full names of types, with commas
ENV_ALLOW_PYTHON: Final = "MODELMILL_ALLOW_PYTHON"  # 1: artifacts of Python code may be executed
ENV_FEEDBACK_KEY: Final = "MODELMILL_FEEDBACK_KEY"
ENV_FEEDBACK_PEERS: Final = "MODELMILL_FEEDBACK_PEERS"  # names of the servers that share the labels, with commas
ENV_PAYLOAD_LOG: Final = "MODELMILL_PAYLOAD_LOG"  # /FOLDER, file:///FOLDER or s3://BUCKET/PREFIX
ENV_PAYLOAD_SAMPLE_RATIO: Final = "MODELMILL_PAYLOAD_SAMPLE_RATIO"  # 0 to 1
ENV_SHADOW_URL: Final = "MODELMILL_SHADOW_URL"  # http://HOST[:PORT] to which requests are mirrored
ENV_SHADOW_FILE: Final = "MODELMILL_SHADOW_FILE"  # JSON of shadow.Shadow; while there is none, nothing is mirrored

# Metrics of the server. Labels model_name and model_version on each, plus those named here.
METRIC_MODEL_INFO: Final = "modelmill_model_info"  # format, engine, digest; always 1
METRIC_TRAINED_TIMESTAMP: Final = "modelmill_model_trained_timestamp_seconds"
METRIC_REQUESTS: Final = "modelmill_requests_total"  # code
METRIC_REQUEST_DURATION: Final = "modelmill_request_duration_seconds"  # histogram
METRIC_IN_PROGRESS: Final = "modelmill_requests_in_progress"
METRIC_FEATURE_BIN: Final = "modelmill_feature_bin_total"  # feature, bin
METRIC_FEATURE_REFERENCE: Final = "modelmill_feature_reference_ratio"  # feature, bin
METRIC_FEATURE_INVALID: Final = "modelmill_feature_invalid_total"  # feature, reason
METRIC_REFERENCE_ROWS: Final = "modelmill_reference_rows"  # of the reference profile
METRIC_FEATURE_IMPORTANCE: Final = "modelmill_feature_importance_ratio"  # feature; 1 over the counted ones
METRIC_FEATURE_OUT_OF_RANGE: Final = "modelmill_feature_out_of_range_total"  # feature, distance: near, far
# Of magnitudes, as artifact.FeatureProfile defines them; all with the label feature.
METRIC_FEATURE_MAGNITUDE: Final = "modelmill_feature_magnitude"  # summary: _sum and _count
METRIC_FEATURE_MAGNITUDE_SQUARES: Final = "modelmill_feature_magnitude_squares_total"
METRIC_FEATURE_REFERENCE_MAGNITUDE_MEAN: Final = "modelmill_feature_reference_magnitude_mean"
METRIC_FEATURE_REFERENCE_MAGNITUDE_DEVIATION: Final = "modelmill_feature_reference_magnitude_deviation"
METRIC_PREDICTION_BIN: Final = "modelmill_prediction_bin_total"  # bin
METRIC_PREDICTION_REFERENCE: Final = "modelmill_prediction_reference_ratio"  # bin
METRIC_SHADOW_ANSWERS: Final = "modelmill_shadow_answers_total"  # of a shadow itself: to mirrored requests
METRIC_PREDICTION_EDGE: Final = "modelmill_prediction_bin_edge"  # bin; upper bound of all bins of numbers but the last
# Of labels that came later, by the version that predicted.
METRIC_FEEDBACK: Final = "modelmill_feedback_total"  # result: correct, wrong, scored
METRIC_ABSOLUTE_ERROR: Final = "modelmill_feedback_absolute_error"  # summary: _sum and _count
METRIC_SQUARED_ERROR: Final = "modelmill_feedback_squared_error"  # summary: _sum and _count
METRIC_FEEDBACK_CELL: Final = "modelmill_feedback_cell_total"  # predicted, actual: the confusion matrix
METRIC_FEEDBACK_DELAY: Final = "modelmill_feedback_delay_seconds"  # summary: _sum and _count
METRIC_FEEDBACK_CONFIDENCE: Final = "modelmill_feedback_confidence_total"  # bin: 0 to 9, result: correct, wrong
# At most 2.5 times apart: two pods whose durations lie in neighbouring buckets may seem so far apart.
DURATION_BUCKETS: Final = (
    0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

# Bins that every feature has beside its own; artifact.category_bin keeps those of categories apart from them.
BIN_MISSING: Final = "missing"
BIN_OTHER: Final = "other"  # a category that the reference did not have
