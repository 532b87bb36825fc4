"""Stores that are not what the stages expect: what the run says about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelmill.contracts import names, result
from tests.support.stages import BUCKET, Run, Store, car_data, cars, estimator
from tests.unit.store.loopback import Answer, Asked, Bucket, serving

MakeRun = Callable[..., Run]


def failed(run: Run, stage: str, reason: str, code: int = names.EXIT_FINAL) -> str:
    """Run a stage that must fail so, and return its words."""
    ended = run.stage(stage)
    assert ended.result is not None, ended.err
    assert (ended.result.outcome, ended.result.reason, ended.code) == (result.FAILED, reason, code), ended.err
    assert len(ended.err.strip().splitlines()) == 1
    return " ".join(ended.result.reasons)


def run_on(make_run: MakeRun, endpoint: str | None, uri: str = f"s3://{BUCKET}/cars/", **parts: Any) -> Run:
    store = {"uri": f"s3://{BUCKET}/models"} | ({"endpoint": endpoint} if endpoint else {})
    return make_run(**{"store": store, "data": car_data(uri), "estimator": estimator()} | parts)


def test_an_access_key_that_the_store_does_not_know(
    make_run: MakeRun, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(names.ENV_ACCESS_KEY, "nobody")
    assert "store.secretRef" in failed(run_on(make_run, store.endpoint), "fetch", "StoreAuthFailed")


def test_an_endpoint_that_redirects_everything(make_run: MakeRun, store: Store) -> None:
    """E.g. http to https, at an ingress."""
    moved = Answer(302, b"", {"Location": "https://127.0.0.1:1/"})
    with serving(lambda asked: moved) as other:
        text = failed(run_on(make_run, other.endpoint), "fetch", "StoreUnreachable", names.EXIT_RETRY)
    assert "store.endpoint" in text


@pytest.mark.parametrize("page", [b"<html><body>Sign in</body></html>", b"<!doctype html><p>Sign in"])
def test_an_endpoint_that_is_a_web_page(make_run: MakeRun, store: Store, page: bytes) -> None:
    with serving(lambda asked: Answer(200, page)) as other:
        text = failed(run_on(make_run, other.endpoint), "fetch", "StoreUnreachable", names.EXIT_RETRY)
    assert "store.endpoint" in text


@pytest.mark.parametrize("uri", ["file:///data?version=1", "s3://mill/../cars", "s3://k:hidden@mill/cars", "s3://B/x"])
def test_an_address_that_would_name_something_else(make_run: MakeRun, store: Store, uri: str) -> None:
    text = failed(run_on(make_run, store.endpoint, uri), "fetch", "SpecInvalid")
    assert text.startswith("data.train.uri: ")
    assert "hidden" not in text


def test_data_behind_a_link_out_of_its_volume(make_run: MakeRun, store: Store, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    cars().to_csv(tmp_path / "secret.csv", index=False)
    (tmp_path / "rows" / "a.csv").symlink_to(tmp_path / "secret.csv")
    text = failed(run_on(make_run, store.endpoint, f"file://{tmp_path}/rows"), "fetch", "StoreAuthFailed")
    assert "leads out of" in text


def test_an_object_that_is_cut_is_fetched_again(make_run: MakeRun, store: Store) -> None:
    content, cuts = cars().to_csv(index=False).encode(), iter([1])
    bucket = Bucket(objects={"cars/a.csv": content})

    def answer(asked: Asked) -> Answer:
        if asked.key and next(cuts, None) is not None:
            return Answer(200, content[:1000], length=len(content))
        return bucket(asked)

    with serving(answer) as other:
        run = run_on(make_run, other.endpoint)
        ended = run.through("fetch")
    assert "trying again" in ended.out
    assert [asked.key for asked in other.asked if asked.key] == ["cars/a.csv"] * 2


def test_a_champion_whose_file_is_longer_than_its_manifest_says(make_run: MakeRun, store: Store) -> None:
    store.put("cars/a.csv", cars().to_csv(index=False))
    first = run_on(make_run, store.endpoint).all()
    assert first.artifact is not None
    key = first.artifact.uri.removeprefix(f"s3://{BUCKET}/")
    store.put(f"{key}/profile.json", store.get(f"{first.artifact.uri}/profile.json") + b" ")
    champion = {"name": "fuel-1", "uri": first.artifact.uri, "digest": first.artifact.digest}
    text = failed(run_on(make_run, store.endpoint, champion=champion), "fetch", "ChampionCorrupt")
    assert "profile.json" in text
    assert "its manifest says" in text
    store.put(f"{key}/manifest.json", b" " * (5 << 20))
    text = failed(run_on(make_run, store.endpoint, champion=champion), "fetch", "ChampionCorrupt")
    assert "manifest.json has more than" in text


def test_a_model_where_a_folder_is_needed(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    cars().to_csv(tmp_path / "rows" / "a.csv", index=False)
    (tmp_path / "models").write_text("a file")
    run = run_on(make_run, None, f"file://{tmp_path}/rows", store={"uri": f"file://{tmp_path}/models"})
    run.through("fetch", "train")
    assert "another URI" in failed(run, "publish", "UploadFailed")
