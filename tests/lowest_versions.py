"""Print the lowest versions of the dependencies that pyproject.toml allows, as constraints for pip.

.venv/bin/python tests/lowest_versions.py >lowest.txt
python -m venv lowest && lowest/bin/python -m pip install -c lowest.txt . pytest hypothesis
lowest/bin/python -m pytest -q tests/runs/test_model_file.py
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

for dependency in PROJECT["dependencies"]:
    name, lowest = re.fullmatch(r"([\w-]+)>=([\d.]+)", dependency).groups()
    print(f"{name}=={lowest}")
