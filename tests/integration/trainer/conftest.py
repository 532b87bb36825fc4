"""A real S3 store on loopback, a run of the stages as a pod would do it, and the server as a process."""

from tests.support.model_server import launch
from tests.support.stages import gateway, make_run, store

__all__ = ["gateway", "launch", "make_run", "store"]
