"""What the folder of compiled code is named after."""

from __future__ import annotations

from pathlib import Path

import pytest

from rot180.kernels import compiling


def test_a_fingerprint_changes_with_every_file_that_is_imported_and_with_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "low.py").write_text("ONE = 1\n")
    (tmp_path / "middle.py").write_text("from rot180.kernels.low import (\n    ONE,\n)\n")
    (tmp_path / "high.py").write_text("from rot180.kernels import middle\n")
    (tmp_path / "apart.py").write_text("")
    monkeypatch.setattr(compiling, "_FOLDER", tmp_path)

    def fingerprints() -> dict[str, str]:
        compiling._read.cache_clear()
        compiling.fingerprint.cache_clear()
        return {name: compiling.fingerprint(name) for name in ("low", "middle", "high", "apart")}

    before = fingerprints()
    (tmp_path / "low.py").write_text("ONE = 2\n")
    after = fingerprints()
    assert {name for name in before if before[name] != after[name]} == {"low", "middle", "high"}
    monkeypatch.undo()
    compiling._read.cache_clear()
    compiling.fingerprint.cache_clear()
