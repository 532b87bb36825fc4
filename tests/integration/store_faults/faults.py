"""What a store, or the way to it, can do to one call. Each fault is a function that is given the call at the proxy."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.integration.store_faults.proxy import DELETE, GET, HEAD, LIST, PUT, Answer, Call, Exchange, Fault, flipped
from tests.support.stages import BUCKET, s3_client

WORDS = "words of the store"
ALL = frozenset({LIST, GET, HEAD, PUT, DELETE})


class Kind(StrEnum):
    """What a fault does, as far as the right end depends on it."""

    OUTAGE = "outage"  # the store fails or its answer does not come: goes away by itself
    REFUSAL = "refusal"  # the store says no: will say so again
    DAMAGE = "damage"  # an answer comes whole and is wrong
    CHANGE = "change"  # the object is another one, or the store says so
    HARMLESS = "harmless"  # nothing that may make a difference


@dataclass(frozen=True)
class Row:
    """One fault. needs_body: it takes an answer with a body. code: the word that a message must have, empty for none."""

    name: str
    kind: Kind
    play: Fault
    operations: frozenset[str] = ALL
    needs_body: bool = False
    code: str = ""
    below: tuple[str, ...] = ("",)  # what the names of calls begin with

    def fits(self, call: Call, answered: int) -> bool:
        """Whether the fault can strike the call, whose answer has a body of so many bytes."""
        fitting = call.operation in self.operations and call.name.startswith(self.below)
        return fitting and (answered > 0 or not self.needs_body)


def refusal(status: int, code: str, **headers: str) -> Answer:
    """Return an S3 error."""
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{WORDS}</Message></Error>"
    names = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Answer(status, [("Content-Type", "application/xml"), *names], text.encode())


def answering(status: int, code: str, **headers: str) -> Fault:
    """Return a fault that answers with an S3 error and does not ask the store."""

    def play(exchange: Exchange) -> None:
        answer = refusal(status, code, **headers)
        if exchange.method == "HEAD":
            answer.body = b""
        exchange.send(answer)

    return play


def silent(exchange: Exchange) -> None:
    """Take the request and never answer."""
    exchange.hold()


def stall_in_head(exchange: Exchange) -> None:
    """Begin an answer and stop within its head."""
    exchange.body()
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\nX-Beg")
    exchange.hold()


def stall_in_body(exchange: Exchange) -> None:
    """Stop half-way in the body."""
    answer = exchange.forward()
    exchange.client.sendall(answer.head() + answer.body[: len(answer.body) // 2])
    exchange.hold()


def reset_at_once(exchange: Exchange) -> None:
    """Cut the connection before anything is done."""
    exchange.reset()


def reset_in_body(exchange: Exchange) -> None:
    """Cut the connection within the answer's body."""
    answer = exchange.forward()
    exchange.client.sendall(answer.head() + answer.body[: len(answer.body) // 2])
    exchange.reset()


def reset_in_request(exchange: Exchange) -> None:
    """Cut the connection within the request's body."""
    exchange.client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    exchange.client.recv(max(1, exchange.sent // 2))
    exchange.reset()


def reply_lost(exchange: Exchange) -> None:
    """Let the store do it, and cut the connection."""
    exchange.forward()
    exchange.reset()


def done_and_failed(exchange: Exchange) -> None:
    """Let the store do it, and answer that it failed."""
    exchange.forward()
    answering(500, "InternalError")(exchange)


def short(exchange: Exchange) -> None:
    """End the connection properly before the body has the length that its head says."""
    answer = exchange.forward()
    exchange.client.sendall(answer.head() + answer.body[: len(answer.body) // 2])
    exchange.client.close()


def short_and_well_formed(exchange: Exchange) -> None:
    """Answer with a part of the body, whose head says just that length."""
    answer = exchange.forward()
    answer.body = answer.body[: len(answer.body) * (2 + exchange.count % 3) // 5]
    exchange.send(answer)


def flip(exchange: Exchange) -> None:
    """Turn a bit of the answer's body, each time another."""
    answer = exchange.forward()
    answer.body = flipped(answer.body, exchange.count)
    exchange.send(answer)


def flip_in_request(exchange: Exchange) -> None:
    """Turn a bit of the request's body."""
    exchange.send(exchange.forward(flipped(exchange.body(), exchange.count)))


def invalid_xml(exchange: Exchange) -> None:
    """Answer a listing with a tag that is none."""
    answer = exchange.forward()
    half = len(answer.body) // 2
    answer.body = answer.body[:half] + b"<<&" + answer.body[half:]
    exchange.send(answer)


def web_page(exchange: Exchange) -> None:
    """Answer as a sign-in page before the store does."""
    exchange.body()
    exchange.send(Answer(200, [("Content-Type", "text/html")], b"<!doctype html><html><p>Sign in<br></html>"))


def endless(exchange: Exchange) -> None:
    """Answer a listing with the same next page again and again."""
    answer = exchange.forward()
    answer.body = re.sub(rb"<NextContinuationToken>.*?</NextContinuationToken>", b"", answer.body)
    truncated = b"<IsTruncated>true</IsTruncated><NextContinuationToken>YWdhaW4=</NextContinuationToken>"
    answer.body = re.sub(rb"<IsTruncated>\w+</IsTruncated>", truncated, answer.body)
    exchange.send(answer)


def etag(value: str) -> Fault:
    """Return a fault that gives an answer and a listing another ETag, or none."""

    def play(exchange: Exchange) -> None:
        answer = exchange.forward()
        answer.headers = [(name, told) for name, told in answer.headers if name.lower() != "etag"]
        if value:
            answer.headers.append(("ETag", f'"{value}"'))
        answer.body = re.sub(
            rb"<ETag>.*?</ETag>", f"<ETag>&quot;{value}&quot;</ETag>".encode() if value else b"", answer.body
        )
        exchange.send(answer)

    return play


def redirected(exchange: Exchange) -> None:
    """Point elsewhere, where nobody may go with these keys."""
    exchange.send(Answer(307, [("Location", f"{exchange.proxy.endpoint}/elsewhere/x")], b""))


@functools.cache
def direct(store: tuple[str, int]) -> Any:
    """Return a client of the store itself, as somebody else has one."""
    return s3_client("http://{}:{}".format(*store))


def overwrite(exchange: Exchange) -> None:
    """Put other rows in the object's place."""
    place = {"Bucket": BUCKET, "Key": exchange.key}
    client = direct(exchange.proxy.store)
    rows = client.get_object(**place)["Body"].read().splitlines()
    client.put_object(**place, Body=b"\n".join(rows[:-1]))


def overwritten(exchange: Exchange) -> None:
    """Let somebody overwrite the object before it is read."""
    overwrite(exchange)
    exchange.send(exchange.forward())


def overwritten_within(exchange: Exchange) -> None:
    """Let somebody overwrite the object while it is read, and cut the connection."""
    answer = exchange.forward()
    overwrite(exchange)
    exchange.client.sendall(answer.head() + answer.body[: len(answer.body) // 2])
    exchange.reset()


def deleted(exchange: Exchange) -> None:
    """Let somebody delete the object before it is read."""
    direct(exchange.proxy.store).delete_object(Bucket=BUCKET, Key=exchange.key)
    exchange.send(exchange.forward())


def listed_smaller(exchange: Exchange) -> None:
    """List objects with fewer bytes than they have."""
    answer = exchange.forward()
    answer.body = re.sub(rb"<Size>(\d+)</Size>", lambda found: b"<Size>%d</Size>" % (int(found[1]) - 1), answer.body)
    exchange.send(answer)


DATA = ("data/", "held/")
FAULTS = (
    Row("silent", Kind.OUTAGE, silent),
    Row("stall in the head", Kind.OUTAGE, stall_in_head),
    Row("stall in the body", Kind.OUTAGE, stall_in_body, needs_body=True),
    Row("500", Kind.OUTAGE, answering(500, "InternalError"), code="500"),
    Row("503", Kind.OUTAGE, answering(503, "SlowDown"), code="503"),
    Row("503 with Retry-After", Kind.OUTAGE, answering(503, "SlowDown", Retry_After="3600"), code="503"),
    Row("reset at once", Kind.OUTAGE, reset_at_once),
    Row("reset in the body", Kind.OUTAGE, reset_in_body, needs_body=True),
    Row("reset in the request", Kind.OUTAGE, reset_in_request, frozenset({PUT})),
    Row("reply lost", Kind.OUTAGE, reply_lost),
    Row("done and 500", Kind.OUTAGE, done_and_failed, code="500"),
    Row("short", Kind.OUTAGE, short, needs_body=True),
    Row("invalid XML", Kind.OUTAGE, invalid_xml, frozenset({LIST})),
    Row("truncated XML", Kind.OUTAGE, short_and_well_formed, frozenset({LIST})),
    Row("a web page", Kind.OUTAGE, web_page, frozenset({LIST})),
    Row("endless", Kind.OUTAGE, endless, frozenset({LIST})),
    Row("redirect", Kind.OUTAGE, redirected, code="307"),
    Row("403", Kind.REFUSAL, answering(403, "AccessDenied"), code="403"),
    Row("skewed clock", Kind.REFUSAL, answering(403, "RequestTimeTooSkewed"), code="403"),
    Row("no bucket", Kind.REFUSAL, answering(404, "NoSuchBucket"), code="404"),
    Row("permanent redirect", Kind.REFUSAL, answering(301, "PermanentRedirect"), code="301"),
    Row("short and well formed", Kind.DAMAGE, short_and_well_formed, frozenset({GET}), needs_body=True),
    Row("flipped", Kind.DAMAGE, flip, frozenset({GET}), needs_body=True),
    Row("flipped in the request", Kind.OUTAGE, flip_in_request, frozenset({PUT})),
    Row("a web page for an object", Kind.DAMAGE, web_page, frozenset({GET})),
    Row("412", Kind.CHANGE, answering(412, "PreconditionFailed"), code="412"),
    Row("409", Kind.OUTAGE, answering(409, "OperationAborted"), code="409"),
    Row("another ETag", Kind.CHANGE, etag("0" * 32)),
    Row("overwritten", Kind.CHANGE, overwritten, frozenset({GET}), below=DATA),
    Row("overwritten within", Kind.CHANGE, overwritten_within, frozenset({GET}), below=DATA),
    Row("deleted", Kind.HARMLESS, deleted, frozenset({GET}), below=("data/",)),
    Row("listed smaller", Kind.CHANGE, listed_smaller, frozenset({LIST}), below=DATA),
    Row("no ETag", Kind.HARMLESS, etag("")),
)
BY_NAME = {row.name: row for row in FAULTS}
