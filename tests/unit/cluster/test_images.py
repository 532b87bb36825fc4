from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from imagebuild import _digest
from imageload import _prune, _write_archive


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "main.py").write_text("print(1)\n")
    return folder


def test_the_tag_follows_content_names_modes_and_base(context: Path) -> None:
    main = context / "code" / "main.py"
    seen = {_digest(context, "base:1"), _digest(context, "base:2")}
    main.write_text("print(2)\n")
    seen.add(_digest(context, "base:1"))
    main.chmod(0o755)
    seen.add(_digest(context, "base:1"))
    main.rename(context / "code" / "start.py")
    seen.add(_digest(context, "base:1"))

    assert len(seen) == 5


def test_the_tag_ignores_times(context: Path) -> None:
    before = _digest(context, "base:1")
    os.utime(context / "code" / "main.py", (1, 1))

    assert _digest(context, "base:1") == before


def blob(store: Path, name: str, content: str) -> str:
    folder = store / "blobs" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    return f"sha256:{name}"


def image(store: Path, name: str, tag: str, layers: list[str]) -> dict[str, object]:
    config = blob(store, f"config{tag}", "{}")
    manifest = {"config": {"digest": config}, "layers": [{"digest": blob(store, layer, layer)} for layer in layers]}
    digest = blob(store, f"manifest{tag}", json.dumps(manifest))
    return {"digest": digest, "annotations": {"org.opencontainers.image.ref.name": f"{name}:{tag}"}}


def test_the_archive_leaves_out_layers_that_the_node_has(tmp_path: Path) -> None:
    entry = image(tmp_path, "localhost/x", "2", ["base", "code"])

    _write_archive(tmp_path / "a.tar", tmp_path, entry, "localhost/x:2", present={"sha256:base"})

    with tarfile.open(tmp_path / "a.tar") as archive:
        assert set(archive.getnames()) == {
            "oci-layout",
            "index.json",
            "blobs/sha256/manifest2",
            "blobs/sha256/config2",
            "blobs/sha256/code",
        }
        index = json.load(archive.extractfile("index.json") or pytest.fail("no index"))
    assert index["manifests"][0]["annotations"] == {"io.containerd.image.name": "localhost/x:2"}


def test_a_newer_tag_removes_what_only_the_older_used(tmp_path: Path) -> None:
    older = image(tmp_path, "localhost/x", "1", ["base", "old-code"])
    newer = image(tmp_path, "localhost/x", "2", ["base", "code"])
    other = image(tmp_path, "localhost/y", "1b", ["other"])

    _prune(tmp_path, {"manifests": [older, newer, other]}, "localhost/x:2")

    left = {path.name for path in (tmp_path / "blobs" / "sha256").iterdir()}
    assert left == {"base", "code", "config2", "manifest2", "other", "config1b", "manifest1b"}
    assert json.loads((tmp_path / "index.json").read_text())["manifests"] == [newer, other]
