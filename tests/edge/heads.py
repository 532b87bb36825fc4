"""Heads: first lines, targets, versions, hosts, and the names and values of fields (RFC 9112 §2 to §5, RFC 9110 §5, §7)."""

from __future__ import annotations

from tests.edge.streams import GET, HOST, bare, family, get, head, post, row, shown

LINE = "RFC 9112 §3"
FIELD = "RFC 9110 §5.1, RFC 9112 §5"
VALUE = "RFC 9110 §5.5"
END = "RFC 9112 §2.2"

LINES = {
    "two spaces behind the method": (b"GET  /v2/health/live HTTP/1.1", "200 open | 400 close"),
    "two spaces behind the target": (b"GET /v2/health/live  HTTP/1.1", "200 open | 400 close"),
    "a space behind the version": (b"GET /v2/health/live HTTP/1.1 ", "200 open | 400 close"),
    "a space before the method": (b" GET /v2/health/live HTTP/1.1", "200 open | 400 close"),
    "tabs": (b"GET\t/v2/health/live\tHTTP/1.1", "200 open | 400 close"),
    "VT": (b"GET\x0b/v2/health/live\x0bHTTP/1.1", "200 open | 400 close"),
    "CR": (b"GET /v2/health/live\rHTTP/1.1", "200 open | 400 close"),
    "no spaces": (b"GET/v2/health/liveHTTP/1.1", "400/501 close"),
    "no version": (b"GET /v2/health/live", "400/505 close"),
    "no version, a space": (b"GET /v2/health/live ", "400/505 close"),
    "the method alone": (b"GET", "400 close"),
    "three words more": (b"GET /v2/health/live x HTTP/1.1", "400/404 close"),
    "two requests in one line": (b"GET /v2 HTTP/1.1 GET /smuggled HTTP/1.1", "400/404 close"),
    "an answer": (b"HTTP/1.1 200 OK", "400/501/505 close"),
    "small letters in the version": (b"GET /v2/health/live http/1.1", "400/505 close"),
    "HTTP/1": (b"GET /v2/health/live HTTP/1", "400/505 close"),
    "HTTP/1.": (b"GET /v2/health/live HTTP/1.", "400/505 close"),
    "HTTP/.1": (b"GET /v2/health/live HTTP/.1", "400/505 close"),
    "HTTP/1.10": (b"GET /v2/health/live HTTP/1.10", "400/505 close"),
    "HTTP/11.1": (b"GET /v2/health/live HTTP/11.1", "400/505 close"),
    "HTTP/01.1": (b"GET /v2/health/live HTTP/01.1", "400/505 close"),
    "HTTP/1.01": (b"GET /v2/health/live HTTP/1.01", "400/505 close"),
    "HTTP/+1.1": (b"GET /v2/health/live HTTP/+1.1", "400/505 close"),
    "HTTP/-1.1": (b"GET /v2/health/live HTTP/-1.1", "400/505 close"),
    "HTTP/1,1": (b"GET /v2/health/live HTTP/1,1", "400/505 close"),
    "HTTP/1.1x": (b"GET /v2/health/live HTTP/1.1x", "400/505 close"),
    "HTTP/1.1.1": (b"GET /v2/health/live HTTP/1.1.1", "400/505 close"),
    "HTTP /1.1": (b"GET /v2/health/live HTTP /1.1", "400/404/505 close"),
    "HTTP/ 1.1": (b"GET /v2/health/live HTTP/ 1.1", "400/404/505 close"),
    "HTTP/1.1 with NUL": (b"GET /v2/health/live HTTP/1.1\x00", "400/505 close"),
    "HTTPS/1.1": (b"GET /v2/health/live HTTPS/1.1", "400/505 close"),
    "HTCPCP/1.0": (b"BREW /v2/health/live HTCPCP/1.0", "400/501/505 close"),
    "RTSP/1.0": (b"GET /v2/health/live RTSP/1.0", "400/505 close"),
    "RTSP/1.0 with its method": (b"DESCRIBE /v2/health/live RTSP/1.0", "400/501/505 close"),
    "ICE/1.0": (b"GET /v2/health/live ICE/1.0", "400/505 close"),
    "ICE/1.0 with its method": (b"SOURCE /v2/health/live ICE/1.0", "400/501/505 close"),
    "HTTP/0.9": (b"GET /v2/health/live HTTP/0.9", "400/505 close"),
    "HTTP/0.0": (b"GET /v2/health/live HTTP/0.0", "400/505 close"),
    "HTTP/1.2": (b"GET /v2/health/live HTTP/1.2", "200 either | 505 close"),
    "HTTP/1.9": (b"GET /v2/health/live HTTP/1.9", "200 either | 505 close"),
    "HTTP/2.0": (b"GET /v2/health/live HTTP/2.0", "505 close"),
    "HTTP/2": (b"GET /v2/health/live HTTP/2", "400/505 close"),
    "HTTP/3.0": (b"GET /v2/health/live HTTP/3.0", "505 close"),
    "HTTP/9.9": (b"GET /v2/health/live HTTP/9.9", "505 close"),
    "a method in small letters": (b"get /v2/health/live HTTP/1.1", "400/405/501 either"),
    "a method of every sign": (b"!#$%&'*+-.^_`|~ /v2/health/live HTTP/1.1", "400/405/501 either"),
    "an unknown method": (b"FETCH /v2/health/live HTTP/1.1", "400/405/501 either"),
    "a longer method": (b"GETX /v2/health/live HTTP/1.1", "400/405/501 either"),
    "a method that begins like another": (b"GE /v2/health/live HTTP/1.1", "400/405/501 either"),
    "no method": (b" /v2/health/live HTTP/1.1", "400 close"),
    "a method with a slash": (b"GET/ /v2/health/live HTTP/1.1", "400/501 close"),
    "a method in brackets": (b"(GET) /v2/health/live HTTP/1.1", "400/501 close"),
    "a method with a colon": (b"GET: /v2/health/live HTTP/1.1", "400/501 close"),
    "a method with NUL": (b"GET\x00 /v2/health/live HTTP/1.1", "400/501 close"),
    "a method behind a byte order mark": (b"\xef\xbb\xbfGET /v2/health/live HTTP/1.1", "400/501 close"),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1", "400/405/501 close"),
    "CONNECT to a path": (b"CONNECT /v2/health/live HTTP/1.1", "400/405/501 close"),
    "CONNECT in the old version": (b"CONNECT x:80 HTTP/1.0", "400/405/501 close"),
    **{f"the method {method}": (f"{method} /v2/health/live HTTP/1.1".encode(), "400/405/501 either")
       for method in ("TRACE", "TRACK", "PUT", "PATCH", "DELETE", "PURGE", "PROPFIND", "M-SEARCH", "LOCK", "QUERY",
       "PRI", "SEARCH")},
}  # fmt: skip

# Targets that are found, and that are not or are no targets (RFC 9112 §3.2).
FOUND = (
    b"/v2/health/live?", b"/v2/health/live?a=b", b"/v2/health/live?%00", b"/v2/health/live?/../..", b"/v2/health/live?a?b",
    b"/v2/health/live?" + b"a" * 7000, b"/%76%32/health/%6cive", b"http://x/v2/health/live", b"HTTP://x/v2/health/live",
    b"http://other:8080/v2/health/live?a", b"http://[::1]:80/v2/health/live",
)  # fmt: skip
LOST = (
    b"/smuggled", b"//", b"//v2/health/live", b"///x", b"/v2/health/live/", b"/v2/health/./live", b"/v2/x/../health/live",
    b"/v2/%2e%2e/v2/health/live", b"/..%2f..%2fetc/passwd", b"/../../etc/passwd", b"/%00", b"/%zz", b"/%", b"/%f", b"/%ff%fe",
    b"/%c0%af", b"/v2/health/live%00", b"/v2/health/live%20", b"/v2/health/live%0d%0aA:%20b", b"/v2/health/live;a=b",
    b"/V2/HEALTH/LIVE", b"*", b"x", b"x:80", b"?x", b"v2/health/live", b"http:", b"http:/v2/health/live", b"https:x",
    b"ftp://x/v2", b"javascript:alert(1)", b"file:///etc/passwd", b"gopher://x/1", b"data:,x", b"://x/v2", b"1http://x/v2",
    b"http://[::1/v2", b"http://x:y/v2/x", b"/{}", b"/<script>", b"/\"", b"/^", b"/|", b"/`", b"/\\..\\..\\x", b"\\v2\\health",
    b"/smuggled#" + b"a" * 10, b"/\xc3\xa9", b"/\xff", b"/\x7f", b"/\x01", b"/\x00", b"/$(id)",
    b"/${jndi:ldap://x/a}", b"/%s%s%n",
    b"/" + b"../" * 1000, b"/" + b"/" * 5000, b"/" + b"%2f" * 2000, b"/x?" + b"&" * 7000,
)  # fmt: skip

# The right answer to a Host that is none is 400 (RFC 9112 §3.2); whether the connection ends is the server's choice.
HOSTS_RIGHT = (
    b"example.com",
    b"example.com:8080",
    b"127.0.0.1",
    b"[::1]",
    b"[::1]:80",
    b"a_b",
    b"EXAMPLE.com",
    b"x.",
    b"xn--bcher-kva.example",
)
HOSTS_EITHER = (b"", b"x:", b"%41", b"a!b", b"[v1.a]", b"x:99999999")
HOSTS_WRONG = (
    b"a b", b"a, b", b"a/b", b"a\\b", b"http://a", b"a?b", b"a#b", b"u@a", b"u:p@a", b"a:b", b"a:80:90", b"[::1",
    b"::1]", b"[]", b"[::1]x",
    b"a\x00b", b"a\x01b", b"a\x7fb", b"a\tb", b"<a>", b'"a"', b"a|b", b"a^b", b"a`b", b"{a}", b"%", b"%zz", b"a\xffb",
    b"a:-1", b"a:+80",
    b"a: 80", b"a :80",
)  # fmt: skip

# Bytes that no name of a field may hold, but for the colon, which ends it (RFC 9110 §5.6.2).
NO_TOKEN = b' \t"(),/;<=>?@[\\]{}\x00\x01\x0b\x0c\x1b\x7f\x80\xa0\xff'
TOKEN = b"!#$%&'*+-.^_`|~09azAZ"
# Bytes within a value: NUL, CR and LF make it invalid or become spaces (RFC 9110 §5.5), the others are left to the server.
IN_VALUE = b"\x00\x01\x08\x0b\x0c\x0e\x1b\x1f\x7f"

FIELDS = {
    "no name": (b": a", "400 close"),
    "only a colon": (b":", "400 close"),
    "no colon": (b"abc", "400 close"),
    "a first line again": (b"GET /smuggled HTTP/1.1", "400 close"),
    "an empty value": (b"A:", "200 open"),
    "only white space": (b"A: \t ", "200 open"),
    "colons in the value": (b"A::: b:c", "200 open"),
    "a high byte in the value": (b"A: \xff\xfe", "200 open"),
    "UTF-8 in the value": ("A: \u00e9\u2028\U0001f600".encode(), "200 open"),
    "8,000 bytes": (b"A: " + b"a" * 8000, "200 open"),
    "a name of 1,000 bytes": (b"a" * 1000 + b": b", "200 open"),
    "folded": (b"A: b\r\n c", "200 open | 400 close"),
    "folded by a tab": (b"A: b\r\n\tc", "200 open | 400 close"),
    "folded to nothing": (b"A: b\r\n ", "200 open | 400 close"),
    "folded twice": (b"A:\r\n \r\n b", "200 open | 400 close"),
    "CR in the value": (b"A: b\rc", "200 open | 400 close"),
    "CR and a field": (b"A: b\rC: d", "200 open | 400 close"),
    "LF and a field": (b"A: b\nC: d", "200 open | 400 close"),
    "CR before CRLF": (b"A: b\r", "200 open | 400 close"),
    "a hundred fields": (b"\r\n".join(b"A%d: b" % number for number in range(100)), "200 open | 431 close"),
    "the same field fifty times": (b"\r\n".join([b"A: b"] * 50), "200 open"),
    "__proto__": (b"__proto__: x", "200 open"),
}

PLAIN = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
ENDS = {
    "LF everywhere": (PLAIN.replace(b"\r\n", b"\n"), "200 open | 400 close"),
    "LF behind the first line": (PLAIN.replace(b"\r\n", b"\n", 1), "200 open | 400 close"),
    "LF at the end": (PLAIN[:-2] + b"\n", "200 open | 400 close"),
    "CR everywhere": (PLAIN.replace(b"\r\n", b"\r"), "400 close | 408 close"),
    "CR behind the first line": (PLAIN.replace(b"\r\n", b"\r", 1), "400 close"),
    "LF CR": (PLAIN.replace(b"\r\n", b"\n\r"), "400 close"),
    "CR CR LF": (PLAIN.replace(b"\r\n", b"\r\r\n"), "400 close | 200 open"),
    "CR CR LF at the end": (PLAIN[:-2] + b"\r\r\n", "400 close | 200 open | 408 close"),
    "an empty line before": (b"\r\n" + PLAIN, "200 open"),
    "three empty lines before": (b"\r\n" * 3 + PLAIN, "200 open | 400 close"),
    "LF before": (b"\n" + PLAIN, "200 open | 400 close"),
    "CR before": (b"\r" + PLAIN, "200 open | 400 close"),
    "a space before": (b" \r\n" + PLAIN, "200 open | 400 close"),
    "NUL before": (b"\x00" + PLAIN, "400 close"),
    "white space behind the first line": (head(GET) [:-2] + b" A: b\r\nHost: x\r\n\r\n", "200 open | 400 close"),
    "a line of white space": (head(GET)[:-2] + b"Host: x\r\n \r\n\r\n", "200 open | 400 close"),
    "an empty line between": (PLAIN + b"\r\n" + PLAIN, "200 200 open"),
    "form feed behind the head": (PLAIN + b"\x0c", "200 400 close | 200 408 close"),
}  # fmt: skip

STREAMS = [
    row("good", get(), "200 open", LINE),
    row("no Host", head(GET), "400 either", "RFC 9112 §3.2"),
    row("no Host, other fields", head(GET, b"A: b", b"X-Host: x"), "400 either", "RFC 9112 §3.2"),
    row("no Host, but in the target", head(b"GET http://x/v2/health/live HTTP/1.1"), "400 either", "RFC 9112 §3.2"),
    row("no Host in the old version", head(b"GET /v2/health/live HTTP/1.0"), "200 close", "RFC 9112 §3.2"),
    row("two Hosts", get(b"Host: y"), "400 either", "RFC 9112 §3.2"),
    row("the same Host twice", get(HOST), "400 either", "RFC 9112 §3.2"),
    row("two Hosts in other letters", get(b"HOST: x"), "400 either", "RFC 9112 §3.2"),
    row(
        "two Hosts in the old version",
        get(b"Host: y", line=b"GET /v2/health/live HTTP/1.0"),
        "400/200 close",
        "RFC 9112 §3.2",
    ),
    row("three Hosts", get(b"A: b", b"Host: y", b"Host: z"), "400 either", "RFC 9112 §3.2"),
    row("two Hosts before a body", post(b"Host: y"), "400 either", "RFC 9112 §3.2"),
    row("a folded Host", head(GET, b"Host:\r\n x"), "200 open | 400 close", "RFC 9112 §5.2"),
    row("a Host with a space before the colon", head(GET, b"Host : x"), "400 close", "RFC 9112 §5.1"),
    row("another Host in the target", get(line=b"GET http://y/v2/health/live HTTP/1.1"), "200 open", "RFC 9112 §3.2.2"),
    row("fragment", get(line=b"GET /v2/health/live#a HTTP/1.1"), "200 open | 400/404 either", "RFC 9112 §3.2.1"),
    row(
        "user in the target", get(line=b"GET http://u:p@x/v2/health/live HTTP/1.1"), "200/400 either", "RFC 9110 §4.2.4"
    ),
    row(
        "no host in the target",
        get(line=b"GET http:///v2/health/live HTTP/1.1"),
        "200/400/404 either",
        "RFC 9110 §4.2.1",
    ),
    row(
        "https in the target",
        get(line=b"GET https://x/v2/health/live HTTP/1.1"),
        "200/400/404/421 either",
        "RFC 9110 §7.4",
    ),
    row("OPTIONS *", get(line=b"OPTIONS * HTTP/1.1"), "200/204/400/404/405/501 either", "RFC 9112 §3.2.4"),
    row("no target", get(line=b"GET  HTTP/1.1"), "400 close", LINE),
    *(row(f"Host {shown(value)}", head(GET, b"Host: " + value), "200 open", "RFC 9110 §7.2") for value in HOSTS_RIGHT),
    *(
        row(f"Host {shown(value)}", head(GET, b"Host: " + value), "200 open | 400 either", "RFC 9110 §7.2")
        for value in HOSTS_EITHER
    ),
    *(
        row(f"Host {shown(value)}", head(GET, b"Host: " + value), "400 either", "RFC 9112 §3.2")
        for value in HOSTS_WRONG
    ),
    *(row(f"line: {name}", get(line=line), right, LINE) for name, (line, right) in LINES.items()),
    *(row(f"target {shown(one)}", get(line=b"GET %s HTTP/1.1" % one), "200 open", "RFC 9112 §3.2") for one in FOUND),
    *(
        row(f"lost {shown(one)}", get(line=b"GET %s HTTP/1.1" % one), "400/404/405/414 either", "RFC 9112 §3.2")
        for one in LOST
    ),
    *(row(f"a name with {shown(bytes((one,)))}", get(b"A%cB: c" % one), "400 close", FIELD) for one in NO_TOKEN),
    *(row(f"a name of {shown(bytes((one,)))}", get(b"%c: c" % one), "200 open", FIELD) for one in TOKEN),
    *(
        row(f"a value with {shown(bytes((one,)))}", get(b"A: b%cc" % one), "200 open | 400 close", VALUE)
        for one in IN_VALUE
    ),
    *(row(f"field: {name}", get(field), right, FIELD) for name, (field, right) in FIELDS.items()),
    *(row(f"ends: {name}", sent, right, END) for name, (sent, right) in ENDS.items()),
    row("two fields, the first is wrong", bare(b"A B: c", b"Content-Length: 0"), "400 close", FIELD),
]

HEADS = family("heads", STREAMS)
