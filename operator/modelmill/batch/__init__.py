"""Batch prediction: Jobs that score a prefix with the version that serves. Pure but for the part that reads the cache."""
