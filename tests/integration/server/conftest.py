"""The server as a process, and a small HTTP client that shows status, headers and body as they came."""

from tests.support.model_server import launch, launch_shared

__all__ = ["launch", "launch_shared"]
