from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from modelmill.engine.decoding import Misshapen, Page, Reader
from modelmill.engine.errors import Expired, HistorySetBack
from modelmill.engine.interface import Watch
from modelmill.engine.listing import read_list
from modelmill.kube.objects import Manifest, Resource
from modelmill.kube.resources import PODS
from tests.support.fake_api import page_of
from tests.support.virtual_time import run


def pod(name: str) -> Manifest:
    return {"metadata": {"name": name, "namespace": "ml", "uid": f"uid-{name}", "resourceVersion": "7"}}


class Pages:
    """Answers a list with these pages; an error is raised in its place."""

    def __init__(self, *pages: Page | Expired) -> None:
        self.all = pages
        self.asked: list[tuple[object, ...]] = []

    async def pages(self, resource: Resource, *selected: str | None) -> AsyncIterator[Page]:
        self.asked.append((resource, *selected))
        for page in self.all:
            if isinstance(page, Expired):
                raise page
            yield page


def test_a_list_is_read_a_page_at_a_time_and_others_get_their_turn() -> None:
    async def body() -> None:
        client = Pages(page_of([pod("a"), pod("b")], "9"), page_of([pod("c")], "9"), page_of([], "9"))
        taken: list[str] = []
        turns: list[int] = []

        async def other() -> None:
            while True:
                turns.append(len(taken))
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        watch = Watch(PODS, "a=b", field_selector="x=y")
        listed = await read_list(
            client, watch, "ml", Reader(PODS), lambda obj: taken.append(obj["metadata"]["name"]), 9
        )
        task.cancel()
        assert listed == ({"uid-a", "uid-b", "uid-c"}, "9")
        assert taken == ["a", "b", "c"]
        assert {2, 3} <= set(turns)
        assert client.asked == [(PODS, "ml", "a=b", "x=y")]

    run(body())


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (Expired(410, "Expired", "the continue token is too old"), Expired),
        (page_of([], ""), Misshapen),
        (page_of([{"metadata": {"name": "b"}}], "9"), Misshapen),
    ],
    ids=["expired", "without a version", "an object without a uid"],
)
def test_a_list_that_is_not_whole_has_no_end(second: Page | Expired, error: type[Exception]) -> None:
    async def body() -> None:
        taken: list[Manifest] = []
        with pytest.raises(error):
            await read_list(Pages(page_of([pod("a")], "9"), second), Watch(PODS), None, Reader(PODS), taken.append, 0)
        assert len(taken) == 1

    run(body())


def test_a_list_of_a_past_that_was_overtaken_is_no_list() -> None:
    async def body() -> None:
        with pytest.raises(HistorySetBack, match="pods are of resourceVersion 9, and 10 was seen before"):
            await read_list(Pages(page_of([pod("a")], "9")), Watch(PODS), None, Reader(PODS), lambda _: None, 10)

    run(body())
