"""The budget of a process: memory and threads of the machine at hand."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import psutil
import pyarrow as pa
import pytest

from odin_graph.config import Budget


def test_the_machine_bounds_it() -> None:
    budget = Budget.of_machine()
    assert 0 < budget.memory <= psutil.virtual_memory().total // 2
    assert 1 <= budget.threads <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this platform pins no process to cores")
def test_cores_that_the_process_may_not_use_do_not_count() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from odin_graph.config import Budget; print(Budget.of_machine().threads)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "1"


def test_apply_sets_the_threads_of_arrow() -> None:
    before = pa.cpu_count()
    try:
        Budget(memory=1 << 20, threads=3).apply()
        assert pa.cpu_count() == 3
    finally:
        pa.set_cpu_count(before)


def test_it_is_a_value() -> None:
    budget = Budget(memory=1 << 30, threads=2)
    assert pickle.loads(pickle.dumps(budget)) == budget
    with pytest.raises(AttributeError):
        budget.threads = 4  # type: ignore[misc]
