"""Models that stay loaded: loaded once, run by one thread at a time, and lent whole to a pass that takes long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from odin_graph.errors import QueryError
from odin_graph.runtime.models import loaded
from odin_graph.runtime.models.determinism import on_the_cpu
from odin_graph.runtime.models.loaded import Wanted, alone, is_loaded, shared
from odin_graph.runtime.models.model import Runnable
from odin_graph.stores import Stores
from tests.runtime.digits import add_digits, add_trained

pytestmark = pytest.mark.one_engine

CHECKPOINT = "small/trained"


@pytest.fixture
def loads(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Runnable]]:
    """Of a workspace with a model: each that was loaded."""
    add_digits(stores)
    add_trained(stores)
    made: list[Runnable] = []
    load = Runnable.load

    def noted(*args: Any, **kwargs: Any) -> Runnable:
        made.append(load(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(Runnable, "load", noted)
    loaded._entries.clear()
    yield made
    loaded._entries.clear()


def test_a_model_is_loaded_once_by_whatever_name_its_device_goes(stores: Stores, loads: list[Runnable]) -> None:
    with shared(Wanted(stores, CHECKPOINT)) as (one, took):
        assert took is not None
        assert took > 0
    device = str(one.device)
    assert is_loaded(Wanted(stores, CHECKPOINT, device))
    with shared(Wanted(stores, CHECKPOINT, device)) as (other, took):
        assert took is None
    assert other is one
    with shared(Wanted(stores, CHECKPOINT, batch=3)) as (third, _):
        assert third is not one
    assert loads == [one, third]


def test_the_latest_two_stay(stores: Stores, loads: list[Runnable]) -> None:
    wanted = [Wanted(stores, CHECKPOINT, batch=batch) for batch in (1, 2, 3)]
    for one in wanted:
        with shared(one):
            pass
    assert [is_loaded(one) for one in wanted] == [False, True, True]
    assert len(loads) == 3


def test_one_thread_runs_it_at_a_time(stores: Stores, loads: list[Runnable]) -> None:
    wanted, entered = Wanted(stores, CHECKPOINT), threading.Event()

    def second() -> None:
        with shared(wanted):
            entered.set()

    with shared(wanted):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.2)
    thread.join()
    assert entered.is_set()
    assert len(loads) == 1


def test_a_long_pass_takes_the_idle_model_and_gives_it_back(stores: Stores, loads: list[Runnable]) -> None:
    wanted = Wanted(stores, CHECKPOINT)
    with shared(wanted) as (idle, _):
        pass
    with alone(wanted) as taken:
        assert taken is idle
        assert not is_loaded(wanted)
    assert is_loaded(wanted)
    with alone(wanted) as taken:
        assert taken is idle
        with shared(wanted) as (other, took):  # a question meanwhile waits for nobody
            assert other is not idle
            assert took is not None
    assert len(loads) == 2
    with alone(wanted) as again:
        assert again is other  # the one that was loaded meanwhile


def test_a_pass_that_fails_gives_the_model_back(stores: Stores, loads: list[Runnable]) -> None:
    wanted = Wanted(stores, CHECKPOINT)
    with shared(wanted):
        pass
    with pytest.raises(RuntimeError, match="broken"), alone(wanted):
        raise RuntimeError("broken")
    assert is_loaded(wanted)
    assert len(loads) == 1


def test_a_long_pass_leaves_alone_what_is_in_use(stores: Stores, loads: list[Runnable]) -> None:
    wanted = Wanted(stores, CHECKPOINT)
    with shared(wanted) as (used, _):
        with alone(wanted) as taken:
            assert taken is not used
        assert is_loaded(wanted)
    with alone(wanted) as taken:
        assert taken is used
    assert len(loads) == 2


def test_a_pass_that_loaded_its_own_keeps_nothing_in_memory(stores: Stores, loads: list[Runnable]) -> None:
    wanted = Wanted(stores, CHECKPOINT)
    with alone(wanted):
        pass
    assert not is_loaded(wanted)
    assert len(loads) == 1


def test_a_model_that_was_left_on_another_device_does_not_come_back(stores: Stores, loads: list[Runnable]) -> None:
    wanted = Wanted(stores, CHECKPOINT)
    with shared(wanted):
        pass
    with alone(wanted) as taken:
        taken.module.to("meta")
    assert not is_loaded(wanted)


def test_what_is_moved_to_the_cpu_goes_back(stores: Stores, loads: list[Runnable]) -> None:
    went: list[str] = []

    class Moving(nn.Module):
        def to(self, device: torch.device) -> Moving:  # type: ignore[override]
            went.append(device.type)
            return self

    with shared(Wanted(stores, CHECKPOINT)) as (runnable, _):
        elsewhere = replace(runnable, module=Moving(), device=torch.device("meta"))
    with on_the_cpu(elsewhere) as there:
        went.append(f"used on {there.device.type}")
    assert went == ["cpu", "used on cpu", "meta"]
    with pytest.raises(RuntimeError, match="broken"), on_the_cpu(elsewhere):
        raise RuntimeError("broken")
    assert went[3:] == ["cpu", "meta"]


def test_a_device_that_is_not_there_is_refused(stores: Stores, loads: list[Runnable]) -> None:
    with pytest.raises(QueryError, match="no device 'cuda:99' here"):
        is_loaded(Wanted(stores, CHECKPOINT, "cuda:99"))
    assert not loads
