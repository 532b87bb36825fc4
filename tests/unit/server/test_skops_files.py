from __future__ import annotations

from pathlib import Path

import pytest
import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer

from modelmill_server.engines.skops import SkopsEngine
from modelmill_server.failure import StartError


def test_a_model_that_opens_files_is_not_served(tmp_path: Path) -> None:
    skops.io.dump(TfidfVectorizer(input="filename"), tmp_path / "model.skops")
    with pytest.raises(StartError, match="TfidfVectorizer that opens the files"):
        SkopsEngine(tmp_path / "model.skops", (), (), 1)
