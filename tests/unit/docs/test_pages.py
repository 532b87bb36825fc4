"""What the pages tell a person to write and run: objects that the kinds accept, commands, links, figures."""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest
import yaml

from modelmill.api.schema import definitions
from modelmill.contracts import artifact
from modelmill.kube import labels
from tests.support.every_setting import EVERY_SETTING
from tests.support.pages import blocks
from tests.support.plugin import load_plugin
from tests.support.programs import ROOT
from tests.support.schema import unknown_fields, validate
from tests.unit.serving.simulated import World

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
VERBS = {
    "annotate",
    "apply",
    "create",
    "delete",
    "describe",
    "exec",
    "explain",
    "get",
    "label",
    "patch",
    "scale",
    "logs",
}
WRITTEN_BY_US = {labels.POD_TEMPLATE_ANNOTATION, labels.SPEC_HASH_ANNOTATION}
ANNOTATIONS = {text for name, text in vars(labels).items() if name.endswith("_ANNOTATION")} - WRITTEN_BY_US
SERVER = ROOT / "docs" / "reference" / "server.md"
SHADOW = {"MODELMILL_SHADOW_URL", "MODELMILL_SHADOW_FILE"}
"""Of a rollout with a shadow, while it is under way."""
STORE = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL_S3"}
DRIFT = ROOT / "docs" / "how-to" / "choose-a-drift-threshold.md"


def objects(page: Path) -> list[dict[str, Any]]:
    found = []
    for block in blocks(page):
        begin = re.search(r"^( *)apiVersion:", block, re.MULTILINE)
        if begin:
            found += [one for one in yaml.safe_load_all(textwrap.dedent(block[begin.start() :])) if one]
    return found


def kubectl(page: Path) -> list[list[str]]:
    lines = "\n".join(blocks(page)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip().startswith("kubectl ")]


def cases(read: Any) -> list[Any]:
    found = [(page, number, one) for page in PAGES for number, one in enumerate(read(page))]
    return [pytest.param(one, id=f"{page.relative_to(ROOT)}-{number}") for page, number, one in found]


@pytest.mark.parametrize("one", cases(objects))
def test_objects_have_known_fields_within_their_bounds(one: dict[str, Any]) -> None:
    validate(one)


def test_the_pages_have_objects_and_commands_to_check() -> None:
    page = ROOT / "docs" / "how-to" / "bring-a-model.md"
    assert [one["kind"] for one in objects(page)] == ["TrainingJob", "ModelVersion", "InferenceService"]
    assert [one["kind"] for one in objects(ROOT / "README.md")] == ["TrainingJob", "InferenceService"]
    assert len(kubectl(ROOT / "docs" / "how-to" / "go-back.md")) == 6
    assert len(kubectl(ROOT / "docs" / "how-to" / "run-again.md")) == 7


@pytest.mark.parametrize("words", cases(kubectl))
def test_commands_name_what_there_is(words: list[str]) -> None:
    rest = words[3:] if words[1] in ("-n", "--namespace") else words[1:]
    if rest[0] == "modelmill":
        load_plugin().parser().parse_args(rest[1:])
        return
    assert rest[0] in VERBS
    kinds = {one["spec"]["names"]["plural"]: one for one in definitions()}
    named = [word.partition(".modelmill.dev")[0] for word in rest if ".modelmill.dev" in word and "/" not in word]
    assert set(",".join(named).replace(",", " ").split()) <= set(kinds)
    if rest[0] == "annotate":
        keys = {word.partition("=")[0] for word in rest if "=" in word}
        assert keys <= ANNOTATIONS
        assert "--overwrite" in rest
    if rest[0] == "patch":
        assert rest[rest.index("--type") + 1] == "merge"
        patch = json.loads(rest[rest.index("-p") + 1])
        schema = kinds[named[0]]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert list(unknown_fields(patch["spec"], schema, "spec")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads], target


def programs(page: Path) -> list[str]:
    return [block for block in blocks(page) if "python -m modelmill_server" in block]


def test_the_pages_start_the_server() -> None:
    assert {page.name for page in PAGES if programs(page)} == {"server.md", "bring-a-model.md", "serve-a-booster.md"}


@pytest.mark.parametrize("block", cases(programs))
def test_the_server_starts_from_a_checkout_as_it_is_told(block: str, tmp_path: Path) -> None:
    environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "FOLDER": str(tmp_path / "none")}
    environ["MODELMILL_TERMINATION_PATH"] = str(tmp_path / "told")
    command = textwrap.dedent(block).replace("FOLDER", '"$FOLDER"')
    done = subprocess.run(
        ["sh", "-ec", command], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 3, done.stderr
    assert "ArtifactMissing" in (tmp_path / "told").read_text(), done.stderr


def settings_of_the_server() -> dict[str, str]:
    """Return each setting of docs/reference/server.md with what it says that an InferenceService sets it by."""
    section = SERVER.read_text().split("\n## Environment\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in re.findall(r"^\| `.*\|$", section, re.MULTILINE):
        name, _, sets, _ = line.strip("| ").replace("||", "| |").split("|", 3)
        found |= {one: sets.strip() for one in re.findall(r"`(\w+)`", name)}
    return found


def test_the_page_of_the_server_says_which_settings_an_inference_service_sets() -> None:
    world = World()
    world.parent["spec"] |= EVERY_SETTING
    world.model_code = ("ml",)
    world.start_operator()
    world.settle()
    (deployment,) = world.deployments.values()
    pod = deployment["spec"]["template"]["spec"]
    made = {one["name"] for container in [*pod["initContainers"], *pod["containers"]] for one in container["env"]}
    told = settings_of_the_server()
    assert len(told) > 25
    assert {name for name, sets in told.items() if not re.match("no(,|$)", sets)} - made <= STORE | SHADOW
    assert {name for name, sets in told.items() if re.match("no(,|$)", sets)} & made == set()
    service = next(one for one in definitions() if one["spec"]["names"]["kind"] == "InferenceService")
    schema = service["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path in re.findall(
        r"`(spec\.(?:model|monitoring|runtime|payloadLog|feedback)[\w.]+)`", " ".join(told.values())
    ):
        fields = schema
        for name in path.split("."):
            fields = fields["properties"][name] if "properties" in fields else fields["additionalProperties"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_whole(page: Path) -> None:
    lines = ["", *re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE).splitlines(), ""]
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if line.startswith("|") and not before.startswith("|"):
            assert re.fullmatch(r"\|(:?-+:?\|)+", after.replace(" ", "")), line


def psi(expected: list[float], found: list[float]) -> float:
    pairs = [(max(p, 1e-4), max(q, 1e-4)) for p, q in zip(expected, found, strict=True)]
    return sum((q - p) * math.log(q / p) for p, q in pairs)


def rows_of_the_table() -> list[tuple[float, float, float]]:
    found = re.findall(r"^\| ([0-9.]+) \| .*?([0-9.]+).*?\| (\d+) : \d+ \|$", DRIFT.read_text(), re.MULTILINE)
    return [(float(value), float(moved), float(share) / 100) for value, moved, share in found]


def test_the_examples_of_drift_have_the_value_that_is_told() -> None:
    told = rows_of_the_table()
    assert [value for value, _, _ in told] == [0.01, 0.1, 0.2, 1.0]
    usual = NormalDist()
    edges = tuple(usual.inv_cdf(place / 10) for place in range(1, 10))
    profile = artifact.FeatureProfile(artifact.NUMERIC, (0.1,) * 10, edges)
    for value, moved, share in told:
        ends = [0.0, *(NormalDist(moved).cdf(edge) for edge in edges), 1.0]
        live = [after - before for before, after in pairwise(ends)]
        assert psi(list(profile.ratios), live) == pytest.approx(value, rel=0.1)
        assert psi([0.5, 0.5], [share, 1 - share]) == pytest.approx(value, rel=0.1)


def test_the_recording_that_is_told_is_written() -> None:
    from modelmill.monitoring.rules.psi import FEATURES

    assert f"{FEATURES.psi}{{" in DRIFT.read_text()
