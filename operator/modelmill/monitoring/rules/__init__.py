"""Prometheus rules of one InferenceService: what is measured, and the alerts on it."""
