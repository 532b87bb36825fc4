"""A real browser without a screen: what it draws, what it makes of the page, and what it complains about."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 180  # a limit, not an expectation
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--force-color-profile=srgb", "--force-device-scale-factor=1", "--enable-logging=stderr",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """pixels: [height, width, 3], red, green and blue. document: the page as the browser understood it.

    complaints: lines of the browser's console.
    """

    pixels: np.ndarray
    document: str
    complaints: list[str]

    def shows(self, color: str) -> bool:
        """Tell whether any pixel has exactly this colour."""
        return bool(self._mask(color).any())

    def box(self, color: str) -> tuple[int, int, int, int] | None:
        """Return (left, top, right, bottom) of the squares of 4 x 4 pixels of exactly this colour, or None without any.

        Letters have pixels of many colours at their edges, but no such squares of them.
        """
        mask = self._mask(color)
        squares = mask[:-3, :-3].copy()
        for down, across in np.ndindex(4, 4):
            squares &= mask[down : mask.shape[0] - 3 + down, across : mask.shape[1] - 3 + across]
        rows, columns = np.nonzero(squares)
        if not rows.size:
            return None
        return int(columns.min()), int(rows.min()), int(columns.max()) + 4, int(rows.max()) + 4

    def _mask(self, color: str) -> np.ndarray:
        wanted = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)], dtype=np.uint8)
        return (self.pixels == wanted).all(axis=2)


def look(page: Path, folder: Path, *, width: int = 1000, height: int = 2400) -> Seen:
    """Open a page of this machine and return what is seen. Skips without a browser, and fails under CI."""
    picture = folder / f"{page.stem}.png"
    size = f"--window-size={width},{height}"
    drawn = _run(folder, size, f"--screenshot={picture}", page.as_uri())
    parsed = _run(folder, size, "--dump-dom", page.as_uri())
    complaints = [line for line in drawn.stderr.splitlines() if "CONSOLE" in line]
    return Seen(pixels_of(picture.read_bytes()), parsed.stdout, complaints)


def program() -> str:
    """Return the path of a browser."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        text = "no browser to look at the report with: install Debian's package chromium, or python3 hack/cluster install-deps"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return found


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    profile = folder / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    command = [program(), *QUIET, f"--user-data-dir={profile}", *arguments]
    # A home of its own: it also writes beside its profile.
    environment = os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS, env=environment)
    assert done.returncode == 0, done.stderr
    return done


def pixels_of(png: bytes) -> np.ndarray:
    """Return a PNG of 8 bits as [height, width, 3]; PNG specification, sections 5 (chunks) and 9 (filters)."""
    place, packed, header = 8, b"", b""
    while place < len(png):
        (length,), kind = struct.unpack(">I", png[place : place + 4]), png[place + 4 : place + 8]
        content = png[place + 8 : place + 8 + length]
        header, packed = (content, packed) if kind == b"IHDR" else (header, packed + content * (kind == b"IDAT"))
        place += 12 + length
    width, height, depth, color = struct.unpack(">IIBB", header[:10])
    assert (depth, color in (2, 6)) == (8, True), header
    each = 3 if color == 2 else 4
    raw, stride = zlib.decompress(packed), 1 + width * each
    above, lines = bytes(width * each), []
    for start in range(0, height * stride, stride):
        above = _unfiltered(raw[start], raw[start + 1 : start + stride], above, each)
        lines.append(above)
    return np.frombuffer(b"".join(lines), np.uint8).reshape(height, width, each)[:, :, :3]


def _unfiltered(kind: int, line: bytes, above: bytes, each: int) -> bytes:
    if kind == 0:
        return line
    if kind == 2:
        return (np.frombuffer(line, np.uint8) + np.frombuffer(above, np.uint8)).tobytes()
    made = bytearray(each) + line
    for place, up in enumerate(above):
        left, corner = made[place], above[place - each] if place >= each else 0
        guess = left if kind == 1 else (left + up) // 2 if kind == 3 else _paeth(left, up, corner)
        made[place + each] = (made[place + each] + guess) & 255
    return bytes(made[each:])


def _paeth(left: int, up: int, corner: int) -> int:
    by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if by_left <= by_up and by_left <= by_corner:
        return left
    return up if by_up <= by_corner else corner
