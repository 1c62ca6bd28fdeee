"""Run tests as a 64-bit ARM processor would: emulated.py [--cpu CPU] [--folder FOLDER] [PYTEST-ARGUMENTS...]

On Debian and its relatives. QEMU emulates the processor, for one process at a time; a minimal Debian for ARM and the
packages that the project pins, as they are published for ARM, are installed into a folder in a minute or two. Code
runs ten to twenty times as slowly as on this machine, and the kernels have to be compiled first: without arguments, a
few tests of each kind of kernel run, which takes a quarter of an hour.

    .venv/bin/python tests/processors/emulated.py
    .venv/bin/python tests/processors/emulated.py --cpu cortex-a72 tests/kernels tests/engine
    .venv/bin/python tests/processors/emulated.py --program benchmarks/random_geometries.py 100

With --brief, only one convolution and its gradients are compared with the reference, as in continuous integration:
there it is no failure if the emulator cannot be had, or takes minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = [
    f"tests/{name}"
    for name in (
        "kernels/test_twin_conv2d.py",
        "kernels/test_winograd.py",
        "kernels/test_expansion.py",
        "kernels/test_depthwise_calls.py",
        "kernels/test_launching.py",
        "kernels/test_twin_threads.py",
        "engine/test_compiled.py",
    )
]
DEBIAN, PYTHON = "bookworm", "3.11"
TOOLS = ["qemu-user-static", "mmdebstrap"]
BRIEF = ["numpy", "numba", "platformdirs"]
MOST_SECONDS = 150
"""For each step of the installation, and for the comparison of --brief."""
PLATFORMS = [*(f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)), "manylinux2014_aarch64"]


class NoEmulatorError(Exception):
    """There is no emulator, and it cannot be installed."""


def provide_tools() -> None:
    """Install QEMU and mmdebstrap if they are missing."""
    if shutil.which("qemu-aarch64-static") and shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise NoEmulatorError(f"install Debian's packages {' and '.join(TOOLS)}")
    quietly(["apt-get", "update", "-qq"])
    quietly(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *TOOLS])


def provide_system(folder: Path) -> None:
    """Unpack Python for ARM, and what it runs on."""
    system = folder / "system"
    if not (system / f"usr/bin/python{PYTHON}").exists():
        packages = "--include=python3,libgomp1,libstdc++6"
        quietly(["mmdebstrap", "--arch=arm64", "--variant=extract", packages, DEBIAN, str(system)])
    python = folder / "python"
    emulator = f"qemu-aarch64-static -L {system} {system}/usr/bin/python{PYTHON}"
    python.write_text(f'#!/bin/sh\nexec {emulator} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    boot = folder / "boot"
    boot.mkdir(exist_ok=True)  # tests that start a second process start it in the emulator
    (boot / "sitecustomize.py").write_text(f"import sys; sys.executable = {str(python)!r}\n", encoding="utf-8")


def provide_packages(site: Path, packages: list[str]) -> None:
    """Install packages for ARM."""
    if site.exists():
        return
    number = PYTHON.replace(".", "")
    kind = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
    kind += [f"--abi={abi}" for abi in (f"cp{number}", "abi3", "none")]
    kind += [f"--platform={platform}" for platform in PLATFORMS]
    unfinished = site.with_suffix(".tmp")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    quietly([*pip, *kind, "--target", str(unfinished), "-c", str(ROOT / "constraints.txt"), *packages])
    unfinished.rename(site)


def quietly(command: list[str]) -> None:
    """Run a command that has to succeed, and show what it says only if it does not."""
    pipe, together = subprocess.PIPE, subprocess.STDOUT
    try:
        done = subprocess.run(command, stdout=pipe, stderr=together, text=True, errors="replace", timeout=MOST_SECONDS)
    except OSError as error:
        raise NoEmulatorError(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NoEmulatorError(f"{command[0]} has not ended after {MOST_SECONDS} s") from error
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no message"])[-1]
        raise NoEmulatorError(f"{command[0]} failed: {last}")


def main() -> int:
    """Install what is missing and run the tests."""
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "rot180-arm")
    parser.add_argument("--cpu", default="max", help="the processor that is emulated, by QEMU's name")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--program", action="store_true", help="the arguments are a Python program and its arguments")
    known, arguments = parser.parse_known_args()
    folder = known.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    site = folder / ("site-brief" if known.brief else "site")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        provide_tools()
        provide_system(folder)
        provide_packages(site, BRIEF if known.brief else [*project["dependencies"], "pytest", "hypothesis"])
    except NoEmulatorError as error:
        print(f"not tested on ARM: {error}", file=sys.stderr)
        return 0 if known.brief else 1
    command = [str(ROOT / "tests/kernels/kernels_agree.py"), "--brief"]
    if known.program:
        command = arguments
    elif not known.brief:
        command = ["-m", "pytest", "-p", "no:cacheprovider", "-q", *(arguments or TESTS)]
    environment = {
        **os.environ,
        "QEMU_CPU": known.cpu,
        "PYTHONPATH": os.pathsep.join(map(str, (folder / "boot", site, ROOT / "src"))),
        "PYTHONNOUSERSITE": "1",
        "NUMBA_CACHE_DIR": str(folder / "cache"),
    }
    limit = MOST_SECONDS if known.brief else None
    try:
        return subprocess.run([folder / "python", *command], cwd=ROOT, env=environment, timeout=limit).returncode
    except subprocess.TimeoutExpired:
        print(f"not tested on ARM: the comparison has not ended after {limit} s", file=sys.stderr)
        return 0


if __name__ == "__main__":
    sys.exit(main())
