"""An endpoint on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Asked:
    """One request. key: below the bucket."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """length: what the answer says of its length; None for the truth."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Loopback:
    endpoint: str
    answer: Callable[[Asked], Answer]
    asked: list[Asked] = field(default_factory=list)

    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Loopback]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            bucket, _, key = parts.path.removeprefix("/").partition("/")
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            asked = Asked(self.command, bucket, unquote(key), query, headers, body)
            made.asked.append(asked)
            given = made.answer(asked)
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            if given.status != 304:
                self.send_header("Content-Length", str(len(given.body) if given.length is None else given.length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)
            if given.length is not None:
                self.close_connection = True

        do_GET = do_PUT = do_HEAD = _handle  # noqa: N815 - names that the base class asks for

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Loopback(f"http://127.0.0.1:{server.server_address[1]}", answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>words of the store</Message></Error>".encode())


def listing(items: Mapping[str, object], token: str | None = None) -> Answer:
    """Return a page: sizes by key, and the token of the next page."""
    contents = "".join(
        f'<Contents><Key>{escape(key)}</Key><Size>{size}</Size><ETag>"e"</ETag></Contents>'
        for key, size in items.items()
    )
    truncated = f"<IsTruncated>{'true' if token is not None else 'false'}</IsTruncated>"
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    text = f'<ListBucketResult xmlns="{space}">{contents}{truncated}{following}</ListBucketResult>'
    return Answer(200, text.encode())


@dataclass
class Bucket:
    """A store of one bucket. conditions: what it does about If-None-Match: `knows`, `refuses` or `ignores` it."""

    conditions: str = "knows"
    objects: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "PUT":
            if "if-none-match" in asked.headers:
                if self.conditions == "refuses":
                    return refusal(501, "NotImplemented")
                if self.conditions == "knows" and asked.key in self.objects:
                    return refusal(412, "PreconditionFailed")
            self.objects[asked.key] = asked.body
            return Answer()
        if not asked.key:
            prefix = asked.query.get("prefix", "")
            keys = sorted(key for key in self.objects if key.startswith(prefix))
            return listing({key: len(self.objects[key]) for key in keys[: int(asked.query.get("max-keys", 1000))]})
        content = self.objects.get(asked.key)
        return refusal(404, "NoSuchKey") if content is None else Answer(200, content)
