"""Large answers are compressed where a client asks for that."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from tests.support.fitted import cars, on_columns
from tests.support.infer_requests import GOOD, INFER, request, tensor
from tests.support.model_server import Launcher, Running


@pytest.fixture(scope="module")
def server(launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Running:
    frame, target = cars("unknown")
    folder: Path = tmp_path_factory.mktemp("artifact") / "cars"
    write_artifact(folder, on_columns(Ridge(), frame).fit(frame, target), frame)
    return launch_shared(folder, MODEL_NAME="fuel")


@pytest.mark.parametrize("rows", [800, 9000])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_large_answers_are_compressed_where_that_is_asked_for(server: Running, rows: int, encoding: str) -> None:
    many = request(**{name: tensor(name, [value] * rows) for name, value in GOOD.items()})
    plain = server.post(INFER, many)
    assert (plain.headers["vary"], "content-encoding" in plain.headers) == ("accept-encoding", False)
    packed = server.post(INFER, many, {"Accept-Encoding": encoding})
    assert (packed.headers["vary"], packed.headers["content-encoding"]) == ("accept-encoding", encoding)
    assert len(packed.body) < len(plain.body) / 2
    content = {"gzip": gzip.decompress, "deflate": zlib.decompress}[encoding](packed.body)
    assert json.loads(content)["outputs"] == plain.json()["outputs"]
    small = server.post(INFER, request(), {"Accept-Encoding": encoding})
    assert not {"vary", "content-encoding"} & small.headers.keys()


def test_pages_and_binary_answers_are_compressed_too(server: Running) -> None:
    asked = {"Accept-Encoding": "gzip"}
    for path in ("/metrics", "/openapi.json"):
        packed = server.call("GET", path, None, asked)
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body)[:20] == server.get(path).body[:20]
        assert int(server.call("HEAD", path, None, asked).headers["content-length"]) > 1000
    many = request(**{name: tensor(name, [value] * 1000) for name, value in GOOD.items()})
    many["parameters"] = {"binary_data_output": True}
    plain, packed = server.post(INFER, many), server.post(INFER, many, asked)
    name = "inference-header-content-length"
    assert gzip.decompress(packed.body)[int(packed.headers[name]) :] == plain.body[int(plain.headers[name]) :]
