"""Runs the calls of one client library for the tests: pickled calls come on standard input, results go to standard output.

    python loop.py triton_calls

Runs in the client's own environment. Each message is a pickle after its length in eight bytes. A call is a function's name
and its keyword arguments; a result is ("value", it) or ("error", a dict that describes what was raised).
"""

from __future__ import annotations

import importlib
import os
import pickle
import struct
import sys
from typing import Any, BinaryIO

LENGTH = struct.Struct("<Q")


def main(module_name: str) -> None:
    """Answer calls until standard input ends."""
    source = sys.stdin.buffer
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the messages
    module = importlib.import_module(module_name)
    while (call := read(source)) is not None:
        name, arguments = call
        try:
            result: tuple[str, Any] = ("value", getattr(module, name)(**arguments))
        except Exception as error:
            result = ("error", module.describe(error))
        write(target, result)


def read(stream: BinaryIO) -> Any:
    """Return the next message, None at the end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return pickle.loads(stream.read(LENGTH.unpack(head)[0]))


def write(stream: BinaryIO, message: Any) -> None:
    content = pickle.dumps(message, protocol=5)
    stream.write(LENGTH.pack(len(content)) + content)
    stream.flush()


if __name__ == "__main__":
    main(sys.argv[1])
