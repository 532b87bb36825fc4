"""Bring a built image into a cluster."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from debian import BUILD, install, program
from imagebuild import buildah, buildah_home
from node import ctr, import_image, node_images
from progress import Failed, locked, run, step
from settings import Layout, cache_root


def load_into_node(layout: Layout, image: str) -> bool:
    """Load an image unless the node has it; only layers that it lacks are copied. True when something was loaded."""
    if image in node_images(layout):
        return False
    with locked(cache_root() / "load.lock"), step(f"loading {image}"):
        store = cache_root() / "oci"
        log = cache_root() / "logs" / "load.log"
        run([*_skopeo(image), f"oci:{store}:{image}"], log)
        index = json.loads((store / "index.json").read_text())
        (entry,) = [m for m in index["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == image]
        present = set((ctr(layout, "content", "list", "--quiet") or "").split())
        with tempfile.NamedTemporaryFile(dir=cache_root(), suffix=".tar") as archive:
            _write_archive(Path(archive.name), store, entry, image, present)
            import_image(layout, Path(archive.name))
        _prune(store, index, image)
    return True


def load_by_hook(image: str) -> None:
    """Hand an archive of the image to the command in `CLUSTER_LOAD_HOOK`, as `$CLUSTER_LOAD_HOOK IMAGE ARCHIVE`."""
    hook = os.environ.get("CLUSTER_LOAD_HOOK")
    if not hook:
        raise Failed(
            "CLUSTER_LOAD_HOOK is not set: it must name a command that brings an image into your cluster. It is called "
            'with the image\'s name and a docker archive, for example a script with `kind load image-archive "$2"`.'
        )
    with tempfile.TemporaryDirectory(dir=cache_root()) as folder, step(f"loading {image} by {hook}"):
        archive = f"{folder}/image.tar"
        run([*buildah(), "push", image, f"docker-archive:{archive}:{image}"], cache_root() / "logs" / "load.log")
        if subprocess.run([hook, image, archive], check=False).returncode != 0:
            raise Failed(f"{hook} failed to load {image}")


def _skopeo(image: str) -> list[str]:
    """A copy of a built image whose layers stay uncompressed: a known layer is then recognised and not packed again."""
    install(BUILD)
    source = f"containers-storage:[overlay@{buildah_home() / 'storage'}+{buildah_home() / 'run'}]{image}"
    command = [program("skopeo") or "skopeo", "--insecure-policy", "copy", "--quiet"]
    return [*command, "--dest-oci-accept-uncompressed-layers", source]


def _blobs(store: Path, entry: dict[str, Any]) -> list[str]:
    manifest = json.loads(_blob(store, entry["digest"]).read_text())
    return [entry["digest"], manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]


def _blob(store: Path, digest: str) -> Path:
    return store / "blobs" / digest.replace(":", "/")


def _write_archive(archive: Path, store: Path, entry: dict[str, Any], image: str, present: set[str]) -> None:
    """An OCI archive of one image without the layers that the node has already; containerd takes those from its own store."""
    named = {**entry, "annotations": {"io.containerd.image.name": image}}
    files = {
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [named]}).encode(),
    }
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for digest in dict.fromkeys(_blobs(store, entry)):
            if digest not in present:
                tar.add(_blob(store, digest), f"blobs/{digest.replace(':', '/')}")


def _prune(store: Path, index: dict[str, Any], image: str) -> None:
    """Keep one tag of each image in the folder that layers are handed over in."""
    repository = image.rpartition(":")[0]

    def superseded(entry: dict[str, Any]) -> bool:
        name = entry["annotations"]["org.opencontainers.image.ref.name"]
        return bool(name.rpartition(":")[0] == repository and name != image)

    index["manifests"] = [entry for entry in index["manifests"] if not superseded(entry)]
    (store / "index.json").write_text(json.dumps(index))
    used = {digest for entry in index["manifests"] for digest in _blobs(store, entry)}
    for blob in (store / "blobs" / "sha256").iterdir():
        if f"sha256:{blob.name}" not in used:
            blob.unlink()
