"""Weights: what goes in comes out, tied tensors are stored once, and nothing is unpickled."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from odin_graph.catalog.models.weights import (
    apply_weights,
    from_safetensors,
    import_weights,
    not_finite,
    to_safetensors,
)
from odin_graph.errors import ModelError, StoreError
from tests.runtime.networks import Fixed, SmallNet, Tied


def test_weights_come_back_and_the_same_weights_are_the_same_bytes() -> None:
    module = SmallNet()
    data = to_safetensors(module)
    again = from_safetensors(data)
    assert again.keys() == module.state_dict().keys()
    for name, value in module.state_dict().items():
        assert again[name].dtype == value.dtype
        assert torch.equal(again[name], value)
    assert to_safetensors(again) == data
    assert to_safetensors(nn.DataParallel(module)) == data


@given(
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2, torch.cfloat]),
    bad=st.dictionaries(st.sampled_from("abc"), st.sampled_from([math.nan, math.inf, -math.inf])),
    place=st.integers(0, 5),
)
def test_weights_that_are_not_finite_are_named(dtype: torch.dtype, bad: dict[str, float], place: int) -> None:
    weights = {name: torch.ones(6, dtype=dtype) for name in "abc"}
    for name, value in bad.items():
        weights[name][place] = value
    assert not_finite({**weights, "steps": torch.tensor(3), "none": torch.empty(0)}) == sorted(bad)


def test_a_tied_weight_is_stored_once_and_comes_back_under_both_names() -> None:
    module = Tied()
    data = to_safetensors(module)
    assert len(data) < 784 * 784 * 4 * 1.1
    fresh = Tied()
    apply_weights(fresh, from_safetensors(data), what="tied")
    assert torch.equal(fresh.encode.weight, module.encode.weight)
    assert fresh.decode.weight is fresh.encode.weight


def test_overlapping_views_are_stored_whole() -> None:
    fused = torch.arange(12.0).reshape(4, 3)
    again = from_safetensors(to_safetensors({"top": fused[:2], "all": fused, "turned": fused.T}))
    assert torch.equal(again["top"], fused[:2])
    assert torch.equal(again["turned"], fused.T)


def test_what_is_no_tensor_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="hold 'epoch', a int: only plain tensors"):
        to_safetensors({"epoch": 3})  # type: ignore[dict-item]
    with pytest.raises(ModelError, match=r"'w', a torch.sparse_coo tensor"):
        to_safetensors({"w": torch.eye(3).to_sparse()})


def test_damaged_bytes_are_refused() -> None:
    with pytest.raises(StoreError, match="not a safetensors file"):
        from_safetensors(b"\x00" * 40)


@pytest.mark.parametrize("wrapped", [None, "state_dict", "model_state_dict"])
def test_pth_files_are_read(tmp_path: Path, wrapped: str | None) -> None:
    state = SmallNet().state_dict()
    torch.save({wrapped: state, "epoch": 3} if wrapped else state, tmp_path / "w.pth")
    again = import_weights(tmp_path / "w.pth")
    assert all(torch.equal(again[name], value) for name, value in state.items())


def test_safetensors_files_of_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(to_safetensors(SmallNet()))
    assert import_weights(tmp_path / "w.safetensors").keys() == SmallNet().state_dict().keys()


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, (str(self.mark),)


def test_a_pth_file_that_holds_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": Bomb(tmp_path / "mark")}}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="contains more than tensors"):
        import_weights(tmp_path / "w.pth")
    torch.save(SmallNet(), tmp_path / "whole.pth")
    with pytest.raises(ModelError, match="save only the weights"):
        import_weights(tmp_path / "whole.pth")
    assert not (tmp_path / "mark").exists()


def test_a_file_that_is_missing_or_no_state_dict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no file of weights"):
        import_weights(tmp_path / "none.pth")
    torch.save([torch.ones(3)], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="has no state dict"):
        import_weights(tmp_path / "list.pth")


def test_weights_that_do_not_fit_name_every_fault() -> None:
    state = dict(SmallNet(width=8).state_dict())
    state["tail.weight"] = state.pop("head.weight")
    with pytest.raises(ModelError, match=r"missing: head.weight; unexpected: tail.weight. .*strict=False"):
        apply_weights(SmallNet(width=8), state, what="the checkpoint 'c'")
    apply_weights(SmallNet(width=8), state, what="the checkpoint 'c'", strict=False)
    with pytest.raises(ModelError, match=r"other shapes: .*head.weight \(10, 16\) for \(10, 8\)"):
        apply_weights(SmallNet(width=4), SmallNet(width=8).state_dict(), what="c", strict=False)
    with pytest.raises(ModelError, match="do not fit Fixed"):
        apply_weights(Fixed(), SmallNet().state_dict(), what="c")
