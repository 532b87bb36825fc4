"""What is no HTTP/1: the first words of other protocols, and bytes by chance. 400, 408, 501 or 505, and the end."""

from __future__ import annotations

import random
import struct

from tests.edge.streams import GET, Part, Stream, family, get, row

REFUSED = "400/405/408/414/431/501/505 close"
RULE = "RFC 9112 §2.2, §3"
TLS = "RFC 9112 §9.7"
H2 = "RFC 9113 §3.4"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"\0" * 8
HEADERS = b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41"


def _hello(version: bytes) -> bytes:
    """Return the first record of a TLS client."""
    body = version + bytes(range(32)) + b"\0" + b"\x00\x04\x13\x01\xc0\x2f" + b"\x01\x00" + b"\x00\x00"
    handshake = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


PROXY2 = b"\r\n\r\n\0\r\nQUIT\n"
FIRST_WORDS = {
    "TLS 1.0": _hello(b"\x03\x01"),
    "TLS 1.2": _hello(b"\x03\x03"),
    "TLS 1.3": _hello(b"\x03\x04"),
    "TLS with a long name": _hello(b"\x03\x03")[:-2] + b"\x01\x00" + b"\x00" * 256,
    "half of TLS": _hello(b"\x03\x03")[:20],
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(range(37)),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
    "FTP": b"USER anonymous\r\nPASS x\r\n",
    "IMAP": b"a001 LOGIN a b\r\n",
    "POP3": b"USER a\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "Redis inline": b"PING\r\nFLUSHALL\r\nQUIT\r\n",
    "memcached": b"stats\r\n",
    "memcached binary": b"\x80\x0b" + b"\0" * 22,
    "PostgreSQL": b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    "PostgreSQL's start": b"\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00",
    "MongoDB": b"\x3a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00" + b"\0" * 42,
    "MQTT": b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd",
    "AMQP": b"AMQP\x00\x00\x09\x01",
    "Kafka": b"\x00\x00\x00\x14\x00\x12\x00\x00\x00\x00\x00\x01\x00\x0aconsumer-1",
    "LDAP": b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00",
    "SMB": b"\x00\x00\x00\x45\xffSMB\x72" + b"\0" * 60,
    "RDP": b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
    "DNS": b"\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01",
    "SOCKS4": b"\x04\x01\x00\x50\x7f\x00\x00\x01x\x00",
    "SOCKS5": b"\x05\x01\x00",
    "RTSP": b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "SIP": b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n\r\n",
    "RMI": b"JRMI\x00\x02K",
    "AJP": b"\x12\x34\x00\x01\x0a",
    "Modbus": b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x01",
    "BitTorrent": b"\x13BitTorrent protocol" + b"\0" * 48,
    "X11": b"l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "telnet": b"\xff\xfb\x01\xff\xfd\x03",
    "gopher": b"/\r\n",
    "finger": b"root\r\n",
    "IRC": b"NICK a\r\nUSER a 0 * :a\r\n",
    "XMPP": b"<?xml version='1.0'?><stream:stream to='x'>\r\n\r\n",
    "a shell": b"() { :; }; /bin/true\r\n\r\n",
    "Java": b"\xac\xed\x00\x05sr\x00\x01x",
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00.",
    "Docker's stream": b"\x01\x00\x00\x00\x00\x00\x00\x05hello",
    "Thrift": b"\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x00\x00",
    "a frame of websockets": b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    "JSON": b'{"jsonrpc": "2.0", "method": "x", "id": 1}\n',
    "HTML": b"<html>\r\n\r\n",
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "the first version": b"GET /v2/health/live\r\n",
    "the first version, LF": b"GET /\n",
    "PROXY 1": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n" + get(),
    "PROXY 1 of the unknown": b"PROXY UNKNOWN\r\n" + get(),
    "PROXY 2": PROXY2 + b"\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x01\x00\x50" + get(),
    "PROXY 2, local": PROXY2 + b"\x20\x00\x00\x00" + get(),
    "QUIT": b"QUIT\r\n",
    "only letters": b"a" * 1000 + b"\r\n\r\n",
    "only digits": b"1" * 1000 + b"\r\n\r\n",
    "only spaces": b" " * 1000 + b"\r\n\r\n",
    "only NUL": b"\0" * 1000,
    "only 0xff": b"\xff" * 1000,
    "only colons": b":" * 1000 + b"\r\n\r\n",
    "one byte": b"\x16",
    "one letter": b"G",
    "all bytes": bytes(range(256)),
    "all bytes, backwards": bytes(reversed(range(256))),
}  # fmt: skip

SECOND_VERSION: dict[str, tuple[Part, ...]] = {
    "preface": (PREFACE,),
    "preface and settings": (PREFACE + SETTINGS,),
    "preface, settings, ping": (PREFACE + SETTINGS + PING,),
    "preface and a request": (PREFACE + SETTINGS + HEADERS,),
    "preface in pieces": (PREFACE[:10], 0.05, PREFACE[10:], 0.05, SETTINGS),
    "half a preface": (PREFACE[:16],),
    "a preface of the first version": (PREFACE.replace(b"2.0", b"1.1"),),
    "settings without a preface": (SETTINGS,),
    "a preface, then HTTP/1.1": (PREFACE + get(),),
    "a request of gRPC": (PREFACE + SETTINGS + HEADERS + b"\x00\x00\x05\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00",),
    "10,000 pings": (PREFACE + SETTINGS + PING * 10_000,),
    "10,000 resets": (PREFACE + SETTINGS + b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08" * 10_000,),
}


def _by_chance(seed: int) -> Stream:
    """Return bytes by chance: alone, behind a good first line, or between good lines."""
    chance = random.Random(seed)
    noise = chance.randbytes(chance.randrange(8, 3000))
    # A first byte that no message can begin with, so that what comes is refused and not waited for.
    noise = b"\x00" + noise.replace(b"\n", b"\r\r")
    kinds = (
        noise,
        GET + b"\r\n" + noise + b"\r\n\r\n",
        get()[:-2] + noise + b"\r\n\r\n",
        b"POST " + noise + b" HTTP/1.1\r\n\r\n",
    )
    return row(f"by chance {seed}", kinds[seed % 4], REFUSED, RULE)


STRANGERS = family(
    "strangers",
    [
        *(row(name, sent, REFUSED, TLS if "TLS" in name else RULE) for name, sent in FIRST_WORDS.items()),
        *(row(f"HTTP/2: {name}", sent, REFUSED, H2) for name, sent in SECOND_VERSION.items()),
        *(
            row(f"behind a good one: {name}", get() + sent, f"200 {REFUSED}", RULE)
            for name, sent in FIRST_WORDS.items()
            if name in ("TLS 1.3", "SSH", "Redis", "PROXY 1", "PROXY 2", "only NUL")
        ),
        *(_by_chance(seed) for seed in range(40)),
    ],
)
