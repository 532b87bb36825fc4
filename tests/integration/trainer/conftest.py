"""A real S3 store on loopback, and a run of the stages as a pod would do it."""

from tests.support.stages import gateway, make_run, store

__all__ = ["gateway", "make_run", "store"]
