"""Run every benchmark: ``python -m benchmarks [--quick] [--json FILE]``. Exit 1 when a goal does not hold."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
_NO_BENCHMARKS = (
    "document",
    "neuron_models",
    "nta",
    "pictures",
    "policy_questions",
    "policy_ways",
    "pretrained",
    "report",
)
"""Modules that others stand on, and what writes the pages."""


def main() -> int:
    """Run each script in a process of its own, so that none warms another's caches; gather their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each in under a minute")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    failed: list[str] = []
    found = (path for path in HERE.glob("*.py") if not path.name.startswith("_"))
    scripts = sorted(path for path in found if path.stem not in _NO_BENCHMARKS)
    with tempfile.TemporaryDirectory() as folder:
        for script in scripts:
            print(f"== {script.stem}", flush=True)
            out = Path(folder, f"{script.stem}.json")
            command = [sys.executable, "-m", f"benchmarks.{script.stem}", "--json", str(out)]
            if subprocess.run(command + ["--quick"] * options.quick, cwd=HERE.parent, check=False).returncode:
                failed.append(script.stem)
            if out.exists():
                rows += json.loads(out.read_text())
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if failed:
        print(f"Goals not met, or answers wrong: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
