"""What the folder of compiled code is named after."""

from __future__ import annotations

from pathlib import Path

import pytest

from rot180.kernels import compiling


def test_a_fingerprint_changes_with_every_file_that_is_imported_and_with_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "rot180"
    (package / "kernels").mkdir(parents=True)
    (package / "ops").mkdir()
    (package / "ops" / "low.py").write_text("ONE = 1\n")
    (package / "kernels" / "middle.py").write_text("from rot180.ops.low import (\n    ONE,\n)\n")
    (package / "kernels" / "high.py").write_text("from rot180.kernels import middle\n")
    (package / "kernels" / "apart.py").write_text("")
    for name in compiling._OF_NUMBA:  # which all code depends on
        package.joinpath(*name.split(".")).with_suffix(".py").write_text("")
    monkeypatch.setattr(compiling, "_PACKAGE", package)

    def fingerprints() -> dict[str, str]:
        compiling._read.cache_clear()
        compiling.fingerprint.cache_clear()
        return {
            name: compiling.fingerprint(name) for name in ("ops.low", "kernels.middle", "kernels.high", "kernels.apart")
        }

    before = fingerprints()
    (package / "ops" / "low.py").write_text("ONE = 2\n")
    after = fingerprints()
    assert {name for name in before if before[name] != after[name]} == {"ops.low", "kernels.middle", "kernels.high"}
    (package / "kernels" / "numba_types.py").write_text("ONE = 1\n")
    assert not fingerprints().items() & after.items()
    (package / "kernels" / "numba_types.py").write_text("")
    monkeypatch.setattr(compiling, "_numba_version", lambda: "0.0")  # whose caches the present one would empty
    assert not fingerprints().items() & after.items()
    monkeypatch.undo()
    compiling._read.cache_clear()
    compiling.fingerprint.cache_clear()
