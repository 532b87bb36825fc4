"""Pages of metrics."""

from __future__ import annotations

PAGE = """# HELP modelmill_requests_total Finished inference requests by HTTP status code.
# TYPE modelmill_requests_total counter
modelmill_requests_total{model_name="m",model_version="v",code="200"} 7
modelmill_requests_total{model_name="m",model_version="v",code="500"} 1
# TYPE modelmill_request_duration_seconds histogram
modelmill_request_duration_seconds_bucket{model_name="m",le="0.1"} 6
modelmill_request_duration_seconds_bucket{model_name="m",le="+Inf"} 8
modelmill_request_duration_seconds_count{model_name="m"} 8
modelmill_request_duration_seconds_sum{model_name="m"} 1.5
modelmill_feature_bin_total{feature="a \\"b\\" {c}",bin="0"} 3
"""
