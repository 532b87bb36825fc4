"""Write the Python messages of the server's gRPC protocol from inference.proto; with --check only compare."""

from __future__ import annotations

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

from hack.generated import ROOT, keep

FOLDER = ROOT / "images" / "server"
PROTO = "modelmill_server/protocols/inference.proto"
MADE = ("modelmill_server/protocols/inference_pb2.py", "modelmill_server/protocols/inference_pb2.pyi")


def main() -> int:
    """Return 1 with --check when a file is out of date."""
    with tempfile.TemporaryDirectory() as folder:
        include = resources.files("grpc_tools") / "_proto"
        argv = ["protoc", f"-I{FOLDER}", f"-I{include}", f"--python_out={folder}", f"--pyi_out={folder}", PROTO]
        if protoc.main(argv):
            return 1
        return keep({FOLDER / name: (Path(folder) / name).read_bytes() for name in MADE})


if __name__ == "__main__":
    sys.exit(main())
