"""What images/slim.py does to shared libraries."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import uvloop.loop
import xgboost

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def slim() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slim", ROOT / "images/slim.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_library_without_symbols_is_smaller_and_loads(slim: ModuleType, tmp_path: Path) -> None:
    source = Path(uvloop.loop.__file__)
    library = tmp_path / source.name
    shutil.copy(source, library)
    slim.cut_symbols(library)
    assert library.stat().st_size < source.stat().st_size
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('uvloop.loop', {str(library)!r})\n"
        "import uvloop._noop\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "print(module.__file__)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == f"{library}\n"
    size = library.stat().st_size
    slim.cut_symbols(library)
    assert library.stat().st_size == size


def test_a_large_library_keeps_its_functions(slim: ModuleType, tmp_path: Path) -> None:
    source = Path(xgboost.__file__).parent / "lib/libxgboost.so"
    library = tmp_path / "lib" / source.name
    library.parent.mkdir()
    shutil.copytree(source.parents[2] / "xgboost_cpu.libs", tmp_path.parent / "xgboost_cpu.libs", dirs_exist_ok=True)
    shutil.copy(source, library)
    slim.cut_symbols(library)
    code = (
        f"import ctypes; library = ctypes.CDLL({str(library)!r}); handle = ctypes.c_void_p()\n"
        "assert library.XGBoosterCreate(None, ctypes.c_uint64(0), ctypes.byref(handle)) == 0\n"
        "assert library.XGBoosterFree(handle) == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_files_are_left_as_they_are(slim: ModuleType, tmp_path: Path) -> None:
    for content in (b"", b"INPUT ( libother.so )", b"\x7fELF\x01\x01 thirty-two bits"):
        (tmp_path / "lib.so").write_bytes(content)
        slim.cut_symbols(tmp_path / "lib.so")
        assert (tmp_path / "lib.so").read_bytes() == content


def test_equal_files_become_one(slim: ModuleType, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.so", "b.so", "c.so")]
    for file, content in zip(files, (b"same", b"other", b"same"), strict=True):
        file.write_bytes(content)
    slim.join_equal(files)
    assert [file.read_bytes() for file in files] == [b"same", b"other", b"same"]
    assert files[0].stat().st_ino == files[2].stat().st_ino != files[1].stat().st_ino
