"""Write the Python messages of the server's gRPC protocol from inference.proto; with --check only compare."""

from __future__ import annotations

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
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
        late = 0
        for name in MADE:
            made = (Path(folder) / name).read_bytes()
            target = FOLDER / name
            if target.exists() and target.read_bytes() == made:
                continue
            if "--check" in sys.argv:
                print(f"{target.relative_to(ROOT)} is out of date: run `make generate`", file=sys.stderr)
                late = 1
            else:
                target.write_bytes(made)
    return late


if __name__ == "__main__":
    sys.exit(main())
