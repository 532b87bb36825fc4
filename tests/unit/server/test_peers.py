"""Labels are shared among servers: all choose the same owner, and whatever the owner does, no label is lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

import pytest

from modelmill_server.core.feedback import FeedbackCounter
from modelmill_server.core.plausible import Plausible
from modelmill_server.core.tokens import Tokens, key_from
from modelmill_server.failure import StartError
from modelmill_server.protocols import peers as module
from modelmill_server.protocols.feedback import Feedback
from modelmill_server.protocols.peers import MOST_AT_ONCE, Peers
from modelmill_server.settings import from_environment

KEY = key_from("0123456789abcdef", b"")
HERE, THERE, ELSEWHERE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
CODES = [hashlib.sha256(bytes([number])).digest()[:16] for number in range(250)]


def peers(*addresses: str, port: int = 1) -> Peers:
    async def resolve(_: str) -> Collection[str]:
        return addresses

    return Peers(["any"], port, resolve=resolve)


async def owners(of: Peers) -> list[str | None]:
    return [await of.owner(code) for code in CODES]


async def test_all_choose_the_same_owner_and_each_owns_a_share() -> None:
    one, other = await owners(peers(HERE, THERE, ELSEWHERE)), await owners(peers(ELSEWHERE, HERE, THERE))
    assert one == other
    shares = Counter(one)
    assert set(shares) == {None, THERE, ELSEWHERE}
    assert min(shares.values()) > len(CODES) / 6


async def test_a_server_that_goes_gives_its_own_share_and_no_other() -> None:
    before, after = await owners(peers(HERE, THERE, ELSEWHERE)), await owners(peers(HERE, THERE))
    assert all(now == then for now, then in zip(after, before, strict=True) if then != ELSEWHERE)


@pytest.mark.parametrize("addresses", [(), (HERE,), (THERE,)])
async def test_a_server_that_knows_of_no_other_counts_by_itself(addresses: tuple[str, ...]) -> None:
    assert set(await owners(peers(*addresses))) == {None}


async def test_names_that_are_not_told_leave_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Collection[str] | OSError] = [(HERE, THERE), OSError("no answer"), TimeoutError(), (HERE,)]

    async def resolve(_: str) -> Collection[str]:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    made = Peers(["any"], 1, resolve=resolve)
    code = CODES[(await owners(peers(HERE, THERE))).index(THERE)]
    assert [await made.owner(code) for _ in range(4)] == [THERE, THERE, THERE, None]


async def test_names_are_looked_up_once_in_a_while_whoever_waits() -> None:
    looked = 0

    async def resolve(_: str) -> Collection[str]:
        nonlocal looked
        looked += 1
        await asyncio.sleep(0.01)
        return HERE, THERE

    made = Peers(["any"], 1, resolve=resolve)
    found = await asyncio.gather(*(made.owner(code) for code in CODES))
    assert looked == 1
    assert THERE in found


async def test_a_name_that_is_not_there_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", missing, raising=False)
    assert await Peers(["cars-peers"], 1).owner(CODES[0]) is None


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answers(content: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        writer.close()

    return script


async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def reply(status: int, body: bytes = b"{}") -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


class Servers:
    """A server under test at 127.0.0.1, and an owner at 127.0.0.2 that does what a script says."""

    def __init__(self, port: int) -> None:
        self.tokens = Tokens(KEY, "v1")
        self.counter = FeedbackCounter("m", "v1", "regression", Plausible())
        self.peers = peers(HERE, THERE, port=port)
        self.feedback = Feedback(self.tokens, self.counter, self.peers)

    async def token(self, owner: str | None) -> str:
        while True:
            token = self.tokens.make([1.0], "regression")
            assert token is not None
            if await self.peers.owner(self.tokens.read(token).code) == owner:
                return token

    async def send(self, token: str, label: float = 2.0, proof: str = "") -> tuple[int, object]:
        made = self.feedback.handle(json.dumps({"id": token, "label": label}).encode(), proof)
        status, body = made if isinstance(made, tuple) else await made
        return status, json.loads(body)

    def counts(self, name: str) -> dict[str, float]:
        samples = [sample for family in self.counter.families() for sample in family.samples]
        return {one.labels["result"]: one.value for one in samples if one.name == name and one.value}


async def with_owner(script: Script, act: Callable[[Servers], Awaitable[None]]) -> None:
    server = await asyncio.start_server(script, THERE, 0)
    async with server:
        await act(Servers(server.sockets[0].getsockname()[1]))


@pytest.mark.parametrize(("status", "body"), [(200, {"accepted": 1}), (409, {"error": "row 0 was scored already"})])
async def test_what_the_owner_answers_is_the_answer(status: int, body: object) -> None:
    async def act(servers: Servers) -> None:
        assert await servers.send(await servers.token(THERE)) == (status, body)
        assert servers.counts("modelmill_feedback_total") == {}
        assert servers.counts("modelmill_feedback_passed_on_total") == {"counted": 1}

    await with_owner(answers(reply(status, json.dumps(body).encode())), act)


@pytest.mark.parametrize(
    "script",
    [
        answers(b""),
        answers(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{"),
        answers(b"\x16\x03\x01" * 100),
        answers(reply(200, b" " * 100_000)),
        answers(reply(400, b'{"error": "the id is not of format 1"}')),
        answers(reply(404)),
        answers(reply(503)),
        answers(b"HTTP/1.1 302 X\r\nlocation: http://127.0.0.3/\r\ncontent-length: 0\r\n\r\n"),
        never,
    ],
)
async def test_a_label_that_the_owner_does_not_count_is_counted_here(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)

    async def act(servers: Servers) -> None:
        token = await servers.token(THERE)
        assert await servers.send(token) == (200, {"accepted": 1})
        assert (await servers.send(token))[0] == 409
        assert servers.counts("modelmill_feedback_total") == {"scored": 1}
        assert servers.counts("modelmill_feedback_passed_on_total") == {"returned": 2}

    await with_owner(script, act)


async def test_an_owner_that_is_not_there_loses_no_label() -> None:
    servers = Servers(1)
    assert await servers.send(await servers.token(THERE)) == (200, {"accepted": 1})


async def test_only_a_proof_of_the_key_makes_another_servers_label_count_here() -> None:
    asked = []

    async def owner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await answers(reply(200, b'{"accepted": 1}'))(_ended(), writer)

    async def act(servers: Servers) -> None:
        token = await servers.token(THERE)
        other = servers.tokens.proof(servers.tokens.read(await servers.token(THERE)))
        for proof in ("1", "true", token, other, "é\udcff"):
            await servers.send(token, proof=proof)
        assert len(asked) == 5
        assert servers.counts("modelmill_feedback_total") == {}
        proof = servers.tokens.proof(servers.tokens.read(token))
        assert all(f"modelmill-feedback-proof: {proof}\r\n".encode() in head for head in asked)
        assert await servers.send(token, proof=proof) == (200, {"accepted": 1})
        assert len(asked) == 5, "it is passed on once"
        assert servers.counts("modelmill_feedback_total") == {"scored": 1}

    await with_owner(owner, act)


def _ended() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(b"\r\n\r\n")
    return reader


async def test_what_is_refused_here_asks_nobody() -> None:
    asked = 0

    async def owner(*_: object) -> None:
        nonlocal asked
        asked += 1

    async def act(servers: Servers) -> None:
        token = Tokens(key_from("another key of it", b""), "v1").make([1.0], "regression")
        assert token is not None
        assert (await servers.send(token))[0] == 400
        assert isinstance(servers.feedback.handle(b"{"), tuple)

    await with_owner(owner, act)
    assert asked == 0


async def test_few_are_asked_at_once() -> None:
    asked = 0

    async def owner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.3)
        await answers(reply(200, b'{"accepted": 1}'))(reader, writer)

    async def act(servers: Servers) -> None:
        tokens = [await servers.token(THERE) for _ in range(MOST_AT_ONCE + 20)]
        await asyncio.gather(*map(servers.send, tokens))
        assert servers.counts("modelmill_feedback_total")["scored"] >= 20
        assert asked <= MOST_AT_ONCE

    await with_owner(owner, act)


@pytest.mark.parametrize("text", ["http://cars", "cars peers", "cars:80/x", "a" * 64, "cars..ml", "[::1]"])
def test_peers_are_names_or_addresses(text: str) -> None:
    with pytest.raises(StartError, match="MODELMILL_FEEDBACK_PEERS"):
        from_environment({"MODELMILL_FEEDBACK_PEERS": text}, "/a", "::", 8080)


def test_peers_of_settings() -> None:
    told = from_environment({"MODELMILL_FEEDBACK_PEERS": "cars-peers.ml.svc, 10.0.0.7,fd00::7"}, "/a", "::", 8080)
    assert told.feedback_peers == ("cars-peers.ml.svc", "10.0.0.7", "fd00::7")
