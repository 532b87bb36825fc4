"""A bucket over the wire: listings, reads and create-only writes, and endpoints that are slow, hostile or no stores."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelmill.contracts import names
from modelmill.store import s3
from modelmill.store.errors import StoreError
from modelmill.store.folder import Connection, Entry
from modelmill.store.s3 import S3Folder
from modelmill.store.uri import S3Uri
from tests.unit.store.loopback import Answer, Asked, Bucket, Loopback, listing, refusal, serving


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", *vars(names)):
        monkeypatch.delenv(str(getattr(names, name, name)), raising=False)
    monkeypatch.setenv(names.ENV_ACCESS_KEY, "key")
    monkeypatch.setenv(names.ENV_SECRET_KEY, "hidden-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


Serve = Callable[[Callable[[Asked], Answer]], Loopback]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(serving(answer))


def opened(store: Loopback | str, prefix: str = "cars", attempts: int = 1) -> S3Folder:
    endpoint = store if isinstance(store, str) else store.endpoint
    return S3Folder(f"s3://mill/{prefix}", S3Uri("mill", prefix), Connection(endpoint, attempts=attempts))


def told(reason: str, call: Callable[[], object], final: bool = True) -> str:
    with pytest.raises(StoreError) as caught:
        call()
    assert (caught.value.reason, caught.value.final) == (reason, final)
    assert "hidden-secret" not in caught.value.message
    return caught.value.message


def test_a_prefix_is_a_folder(serve: Serve) -> None:
    keys = ("cars/b.csv", "cars/a/x.csv", "cars/", "cars/empty", "cars-old/a.csv", "cars.csv", "other")
    store = serve(Bucket(objects={key: key.encode() if key != "cars/empty" else b"" for key in keys}))
    folder = opened(store)
    assert folder.entries() == [Entry("a/x.csv", 12, '"e"'), Entry("b.csv", 10, '"e"'), Entry("empty", 0, '"e"')]
    assert b"".join(folder.chunks("b.csv", '"e"')) == b"cars/b.csv"
    assert list(folder.chunks("empty")) == []
    assert store.asked[-2].headers["if-match"] == '"e"'
    assert [entry.name for entry in opened(store, "cars.csv").entries()] == [""]
    assert opened(store, "car").entries() == []
    assert len(opened(store, "").entries()) == 6


@pytest.mark.parametrize(
    ("said", "written"), [("<LastModified>1970-01-01T00:00:07.000Z</LastModified>", 7.0), ("", None)]
)
def test_a_listing_says_when_an_object_was_written(serve: Serve, said: str, written: float | None) -> None:
    page = listing({"cars/a": 1})
    whole = Answer(200, page.body.replace(b"<Size>", said.encode() + b"<Size>"))
    assert [entry.written for entry in opened(serve(lambda asked: whole)).entries()] == [written]


def test_an_object_beside_a_folder_of_its_name(serve: Serve) -> None:
    folder = opened(serve(Bucket(objects={"cars": b"1", "cars/a": b"22"})))
    assert folder.entries() == [Entry("", 1, '"e"'), Entry("a", 2, '"e"')]
    assert [b"".join(folder.chunks(name)) for name in ("", "a")] == [b"1", b"22"]


def test_names_are_taken_as_they_stand(serve: Serve) -> None:
    keys = ("cars/a b", "cars/%41", "cars/a?b#c", "cars/ü", "cars/a//b", "cars/../x", "cars/a+b")
    folder = opened(serve(Bucket(objects={key: key.encode() for key in keys})))
    entries = folder.entries()
    assert {entry.name for entry in entries} == {key.removeprefix("cars/") for key in keys}
    assert [b"".join(folder.chunks(entry.name)).decode() for entry in entries] == sorted(keys)


def test_a_name_with_a_new_line_is_listed_encoded(serve: Serve) -> None:
    def answer(asked: Asked) -> Answer:
        assert asked.query["encoding-type"] == "url"
        page = listing({"cars/a%0Ab": 1})
        return Answer(200, page.body.replace(b"<IsTr", b"<EncodingType>url</EncodingType><IsTr"))

    assert opened(serve(answer)).entries() == [Entry("a\nb", 1, '"e"')]


def paged(*pages: tuple[dict[str, object], str | None]) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        place = int(asked.query.get("continuation-token", "0"))
        return listing(*pages[min(place, len(pages) - 1)])

    return answer


def test_a_listing_is_read_page_by_page(serve: Serve) -> None:
    store = serve(paged(({"cars/a": 1, "cars/b": 1}, "1"), ({}, "2"), ({"cars/b": 2, "cars/c": 3}, None)))
    # b was overwritten between the pages
    assert [(entry.name, entry.size) for entry in opened(store).entries()] == [("a", 1), ("b", 2), ("c", 3)]
    assert [asked.query.get("continuation-token") for asked in store.asked] == [None, None, "1", "2"]


def test_a_listing_is_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MAX_OBJECTS", 3)
    monkeypatch.setattr(s3, "MAX_PAGES", 5)
    many = serve(paged(({"cars/a": 1, "cars/b": 1}, "1"), ({"cars/c": 1, "cars/d": 1}, "2")))
    assert "more than 3 objects" in told("TooManyObjects", opened(many).entries)
    numbers = iter(range(1, 1000))
    endless = serve(lambda asked: listing({"cars/a": 1}, str(next(numbers))))
    told("TooManyObjects", opened(endless).entries)
    assert len(endless.asked) == 6
    circle = serve(lambda asked: listing({"cars/a": 1}, "again"))
    assert "no next page" in told("StoreUnreachable", opened(circle).entries, final=False)
    lost = serve(lambda asked: listing({"cars/a": 1}, ""))
    assert "no next page" in told("StoreUnreachable", opened(lost).entries, final=False)


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><p>Sign in",
        b"<html><body>Sign in</body></html>",
        b"",
        b"{}",
        listing({"cars/a": "many"}).body,
        listing({"cars/a": -1}).body,
        listing({"cars/a": 1}).body.replace(b"Size", b"Length"),
        listing({"cars/a": 1}).body.replace(b"Key", b"Name"),
    ],
)
def test_what_answers_is_no_store(serve: Serve, body: bytes) -> None:
    store = serve(lambda asked: Answer(200, body))
    text = told("StoreUnreachable", opened(store).entries, final=False)
    assert "check" in text
    assert "store.endpoint" in text


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(serve: Serve, status: int) -> None:
    other = serve(Bucket(objects={"cars/a": b"1"}))
    store = serve(lambda asked: Answer(status, b"", {"Location": f"{other.endpoint}/mill/cars/a"}))
    told("StoreUnreachable", lambda: list(opened(store).chunks("a")), final=status == 301)
    told("StoreUnreachable", opened(store).entries, final=status == 301)
    told("StoreUnreachable", lambda: opened(store).create("a", b"1"), final=status == 301)
    assert other.asked == []


def test_the_region_that_a_redirect_names_is_asked(serve: Serve) -> None:
    bucket = Bucket(objects={"cars/a": b"1"})

    def answer(asked: Asked) -> Answer:
        if "/eu-north-1/s3/" in asked.headers["authorization"]:
            return bucket(asked)
        return Answer(301, b"", {"x-amz-bucket-region": "eu-north-1"})

    store = serve(answer)
    assert [entry.name for entry in opened(store).entries()] == ["a"]
    assert all(asked.method == "GET" for asked in store.asked)


def test_requests_that_fail_are_repeated_and_bounded(serve: Serve) -> None:
    store = serve(lambda asked: refusal(503, "SlowDown"))
    told("StoreUnreachable", lambda: list(opened(store, attempts=2).chunks("a")), final=False)
    assert len(store.asked) == 2
    refusing = serve(lambda asked: refusal(403, "AccessDenied"))
    told("StoreAuthFailed", lambda: list(opened(refusing, attempts=2).chunks("a")))
    assert len(refusing.asked) == 1


def test_a_store_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        text = told("StoreUnreachable", lambda: list(opened(endpoint).chunks("a")), final=False)
    assert f"the store at {endpoint} does not answer" in text


def test_a_store_that_hangs_within_an_object(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "READ_SECONDS", 0.2)
    ended = threading.Event()
    store = serve(lambda asked: Answer(200, b"12345", length=10))
    assert "cut" in told("StoreUnreachable", lambda: list(opened(store).chunks("a")), final=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
                ended.wait(60)

        thread = threading.Thread(target=answer)
        thread.start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        told("StoreUnreachable", lambda: list(opened(endpoint).chunks("a")), final=False)
        ended.set()
        thread.join()


def test_an_object_is_not_read_further_than_asked(serve: Serve) -> None:
    store = serve(Bucket(objects={"cars/a": bytes(5 * s3.CHUNK)}))
    chunks = opened(store).chunks("a")
    assert len(next(chunks)) == s3.CHUNK
    chunks.close()  # type: ignore[attr-defined]


def test_an_object_that_was_overwritten(serve: Serve) -> None:
    store = serve(lambda asked: refusal(412, "PreconditionFailed"))
    assert "overwritten" in told("ObjectChanged", lambda: list(opened(store).chunks("a", '"e"')), final=False)


@pytest.mark.parametrize("etag", ['"e"', "e", 'W/"e"'])
def test_an_object_of_the_etag_that_was_listed(serve: Serve, etag: str) -> None:
    store = serve(lambda asked: Answer(200, b"1", {"ETag": etag}))
    assert list(opened(store).chunks("a", '"e"')) == [b"1"]


def test_a_store_that_does_not_know_if_match(serve: Serve) -> None:
    store = serve(lambda asked: Answer(200, b"1", {"ETag": '"other"'}))
    assert "s3://mill/cars/a" in told("ObjectChanged", lambda: list(opened(store).chunks("a", '"e"')), final=False)


def test_a_store_that_knows_conditions_is_asked_once(serve: Serve) -> None:
    bucket = Bucket()
    store = serve(bucket)
    folder = opened(store)
    assert folder.create("a", b"1")
    assert folder.create("b", b"")
    assert not folder.create("a", b"2")
    assert bucket.objects == {"cars/a": b"1", "cars/b": b""}
    assert store.methods() == ["HEAD", "PUT", "PUT", "PUT", "PUT"]  # the second PUT is the question
    assert all(asked.headers["if-none-match"] == "*" for asked in store.asked[1:])


@pytest.mark.parametrize("conditions", ["refuses", "ignores"])
def test_a_store_without_conditions_is_looked_at_first(serve: Serve, conditions: str) -> None:
    bucket = Bucket(conditions, {"cars/there": b"1"})
    store = serve(bucket)
    folder = opened(store)
    assert not folder.create("there", b"2")
    assert folder.create("a", b"1")
    assert not folder.create("a", b"2")
    assert not folder.create("there", b"2")
    assert folder.create("b", b"1")
    assert bucket.objects == {"cars/there": b"1", "cars/a": b"1", "cars/b": b"1"}
    assert store.methods()[-4:] == ["HEAD", "HEAD", "HEAD", "PUT"]


def test_the_size_of_an_object_is_asked_by_one_head(serve: Serve) -> None:
    bucket = Bucket(objects={"cars/a": b"123"})
    store = serve(lambda asked: Answer(403) if asked.key.endswith("closed") else bucket(asked))
    folder = opened(store)
    assert [folder.size(name) for name in ("a", "none", "closed")] == [3, None, None]
    assert store.methods() == ["HEAD"] * 3


def test_threads_ask_a_store_once(serve: Serve) -> None:
    bucket = Bucket()
    store = serve(bucket)
    folder = opened(store)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda number: folder.create(str(number), b"1"), range(8)))
    assert store.methods().count("HEAD") == 1
    assert store.methods().count("PUT") == 9


def test_a_file_is_sent_as_it_is_read(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"m" * 3_000_000)
    bucket = Bucket()
    assert opened(serve(bucket)).create("model.onnx", path)
    assert bucket.objects["cars/model.onnx"] == path.read_bytes()


def test_a_look_that_is_forbidden_leaves_it_to_the_condition(serve: Serve) -> None:
    """Without s3:ListBucket a missing object is a 403."""
    bucket = Bucket()
    store = serve(lambda asked: Answer(403) if asked.method == "HEAD" else bucket(asked))
    folder = opened(store)
    assert folder.create("a", b"1")
    assert not folder.create("a", b"2")
    assert bucket.objects == {"cars/a": b"1"}


@pytest.mark.parametrize(
    "answer", [Answer(304), Answer(412), refusal(412, "PreconditionFailed"), refusal(409, "ConditionalRequestConflict")]
)
def test_ways_to_say_that_an_object_exists(serve: Serve, answer: Answer) -> None:
    store = serve(lambda asked: Answer(404) if asked.method == "HEAD" else answer)
    assert not opened(store).create("a", b"1")


@pytest.mark.parametrize("code", ["ObjectParentIsFile", "ExistingObjectIsDirectory"])
def test_a_conflict_of_names_is_not_an_object_that_exists(serve: Serve, code: str) -> None:
    store = serve(lambda asked: Answer(404) if asked.method == "HEAD" else refusal(409, code))
    assert "another URI" in told("UploadFailed", lambda: opened(store).create("a/b", b"1"))


def test_checksums_are_left_to_stores_that_require_them(serve: Serve) -> None:
    wrong = {"x-amz-checksum-crc32": "AAAAAA=="}

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, b"content", wrong)
        return Answer(404 if asked.method == "HEAD" else 200)

    store = serve(answer)
    folder = opened(store)
    folder.create("a", b"1")
    folder.put("a", b"1", "text/plain")
    assert b"".join(folder.chunks("a")) == b"content"
    assert store.asked[-2].headers["content-type"] == "text/plain"
    for asked in store.asked:
        assert not [name for name in asked.headers if "checksum" in name or "trailer" in name]
        assert "aws-chunked" not in asked.headers.get("content-encoding", "")


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", ""])
def test_names_cannot_leave_the_prefix(serve: Serve, name: str) -> None:
    store = serve(Bucket())
    told("AddressInvalid", lambda: opened(store).create(name, b"1"))
    told("AddressInvalid", lambda: opened(store).put(name, b"1", "text/plain"))
    assert store.asked == []


def test_missing_credentials(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(names.ENV_SECRET_KEY)
    monkeypatch.delenv(names.ENV_ACCESS_KEY)
    store = serve(Bucket())
    assert "store.secretRef" in told("StoreAuthFailed", opened(store).entries)
    assert store.asked == []


def test_a_bucket_is_looked_at_once_and_cheaply(serve: Serve) -> None:
    store = serve(Bucket())
    opened(store).check_bucket()
    assert [(asked.method, asked.key, asked.query["max-keys"]) for asked in store.asked] == [("GET", "", "1")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refusal(404, "NoSuchBucket"), "BucketNotFound"),
        (refusal(403, "InvalidAccessKeyId"), "StoreAuthFailed"),
        (refusal(403, "SignatureDoesNotMatch"), "StoreAuthFailed"),
        (refusal(404, "XAdminUserNotFound"), "StoreAuthFailed"),
    ],
)
def test_a_bucket_that_cannot_be_used(serve: Serve, answer: Answer, reason: str) -> None:
    store = serve(lambda asked: answer)
    assert "s3://mill/cars" in told(reason, opened(store).check_bucket)


@pytest.mark.parametrize(
    "answer",
    [
        refusal(403, "AccessDenied"),
        Answer(403),
        refusal(405, "MethodNotAllowed"),
        refusal(501, "NotImplemented"),
        refusal(503, "SlowDown"),
        Answer(200, b"a page"),
    ],
)
def test_a_bucket_that_may_not_be_listed_may_be_used_all_the_same(serve: Serve, answer: Answer) -> None:
    store = serve(lambda asked: answer)
    opened(store).check_bucket()
    assert len(store.asked) == 1


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "ftp//x"])
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    assert "S3 client" in told("AddressInvalid", lambda: opened(endpoint))


def test_endpoint_and_region_of_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    store = serve(Bucket(objects={"cars/a": b"1"}))
    monkeypatch.setenv(names.ENV_ENDPOINT, store.endpoint)
    monkeypatch.setenv(names.ENV_REGION, "eu-north-1")
    assert len(S3Folder("s3://mill/cars", S3Uri("mill", "cars"), Connection()).entries()) == 1
    assert "/eu-north-1/s3/" in store.asked[0].headers["authorization"]
    assert "/mars-1/s3/" in _authorization(store, "mars-1")


def _authorization(store: Loopback, region: str) -> str:
    S3Folder("s3://mill/cars", S3Uri("mill", "cars"), Connection(region=region)).entries()
    return store.asked[-1].headers["authorization"]
