"""`modelmill-server fetch`, `modelmill-server [serve] FOLDER --port 8080` and `modelmill-server batch FOLDER --input URI …`.

The environment sets the rest.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

from modelmill.contracts.names import HTTP_PORT
from modelmill.store.keys import hide_keys
from modelmill_server import __version__
from modelmill_server.failure import StartError, leave_message
from modelmill_server.supervisor import supervise
from modelmill_server.telemetry import logs


def main(arguments: list[str] | None = None) -> int:
    """Run one command, supervised, and return its exit code: 0, 1 when a repeat may help, 3 when not, 2 for wrong usage."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["batch"]:
        # Before the fork: the model's process has the same user id as the two that have the keys of the store.
        hide_keys()
    return supervise(lambda: _run(given))


def _run(arguments: list[str]) -> int:
    tell_left_out = logs.set_up()
    try:
        if arguments[:1] == ["fetch"]:
            from modelmill_server import fetch

            logging.getLogger("botocore").setLevel(logging.WARNING)

            return fetch.main()
        if arguments[:1] == ["batch"]:
            from modelmill_server.batch import command

            logging.getLogger("botocore").setLevel(logging.WARNING)
            return command.main(arguments[1:])
        return _serve(arguments[1:] if arguments[:1] == ["serve"] else arguments)
    except StartError as failure:
        print(failure.line(), file=sys.stderr)
        leave_message(failure)
        return failure.exit_code
    finally:
        tell_left_out()


def _serve(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="modelmill-server", description="Serve one model artifact over HTTP.")
    parser.add_argument("folder", nargs="?", help="artifact folder; default: $MODELMILL_MODEL_FOLDER")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all IPv4)")  # noqa: S104
    parser.add_argument("--port", type=int, default=HTTP_PORT)
    parser.add_argument(
        "--grpc-port", type=int, help="also speak gRPC on this port; default: $MODELMILL_GRPC_PORT, else not"
    )
    parser.add_argument(
        "--trusted-type",
        action="append",
        default=[],
        metavar="TYPE",
        help="a type that a skops file may hold beside the usual; may be repeated, $MODELMILL_SKOPS_TRUSTED has more",
    )
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    from modelmill_server.settings import from_environment

    settings = from_environment(
        os.environ, options.folder, options.host, options.port, options.grpc_port, options.trusted_type
    )
    # Before numpy is imported: its libraries and scikit-learn's read these once, and else take every CPU of the node.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(settings.threads))
    from modelmill_server.lifecycle import run

    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
