"""Other processors than this one: sums stay in registers, and the kernels agree with the reference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from families import AVX2, AVX512, V2

from rot180.kernels import processor

HERE = Path(__file__).parent
X86, LINUX_ARM, MAC = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "arm64-apple-macosx"

FAMILIES = {
    "AVX-512": (AVX512, 64, [f"{X86}/skylake-avx512"]),
    "AVX2": (AVX2, 32, [f"{X86}/haswell"]),
    "without FMA": (V2, 16, [f"{X86}/nehalem"]),
    "NEON": ("", 16, [f"{LINUX_ARM}/neoverse-n1", f"{MAC}/apple-m1"]),
}
"""Features, bytes of a register, and processors; those of Graviton and of Apple for NEON."""


@pytest.mark.parametrize("family", FAMILIES)
def test_sums_stay_in_registers(family: str) -> None:
    features, size, targets = FAMILIES[family]
    command = [sys.executable, HERE / "cross_compiled.py", features, *targets]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert measured["bytes"] == size
    for target, block, shape, products, visits in measured["blocks"]:
        where = f"{block} {shape} on {target}: {visits[:3]}"
        assert products, where
        if block == "too many sums":
            assert visits, where
        elif block == "winograd_transforms":
            # 6 x 6 numbers are transformed at once, more than there are registers.
            assert len(visits) <= 36 * (2 if measured["registers"] == 32 else 4), where
        elif block == "transforms of runs" and measured["registers"] < 32:
            # One loop for each register of channels; 12 numbers leave too few registers for their sums.
            assert len(visits) <= 36 * 4 * shape[1], where
        else:
            assert not visits, where


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [("haswell", AVX2, "32 bytes, with FMA"), ("nehalem", V2, "16 bytes, without FMA")],
    ids=["AVX2", "no FMA"],
)
def test_builds_for_older_processors_agree_with_the_reference(
    name: str, features: str, expected: str, tmp_path: Path
) -> None:
    if not {word[1:] for word in features.split(",")} <= processor.FEATURES:
        pytest.skip("this processor has not all of these instructions")
    build = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, HERE / "kernels_agree.py"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **build},
    )
    assert done.stdout.strip().endswith(expected)
