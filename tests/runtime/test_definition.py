"""Definitions: what can be built again elsewhere, and what says that it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from odin_graph.errors import ModelError, TrustError
from odin_graph.runtime.models import trust
from odin_graph.runtime.models.build import build, inspect
from odin_graph.runtime.models.definition import Definition, define
from odin_graph.runtime.models.program import export_program
from tests.runtime.networks import Fixed, SmallNet, small_net

pytestmark = pytest.mark.one_engine

ROOT = Path(__file__).parents[2]


def no_program(digest: str) -> bytes:
    raise AssertionError(digest)


def run_script(file: Path, *arguments: str) -> dict[str, object]:
    """Run a script as ``__main__`` in a process of its own, and read what it prints."""
    done = subprocess.run(
        [sys.executable, file, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("factory", "kwargs", "target"),
    [
        ("torchvision.models:resnet18", {"num_classes": 4}, "torchvision.models:resnet18"),
        (resnet18, {"num_classes": 4}, "torchvision.models.resnet:resnet18"),
        (SmallNet, {"width": 4}, "tests.runtime.networks:SmallNet"),
        (partial(small_net, width=4), {}, "tests.runtime.networks:small_net"),
    ],
)
def test_what_can_be_imported_is_kept_by_name(factory: object, kwargs: dict[str, int], target: str) -> None:
    definition, _ = define(factory, kwargs=kwargs)
    assert (definition.kind, definition.target, definition.source) == ("factory", target, None)
    again = Definition.from_json(json.loads(json.dumps(definition.to_json())))
    assert again == definition
    assert again.digest == definition.digest
    assert "torch" in definition.packages
    one, other = define(factory, kwargs=kwargs)[1](**definition.kwargs), build("m", again, no_program)
    assert [(n, p.shape) for n, p in one.named_parameters()] == [(n, p.shape) for n, p in other.named_parameters()]


@pytest.mark.parametrize("kind", ["class", "function"])
def test_a_model_of_a_script_is_built_elsewhere_from_its_source(kind: str) -> None:
    """Source, imports, values, aliases and what they use come along; what is not used does not."""
    told = run_script(Path(__file__).parent / "notebook.py", kind)
    definition = Definition.from_json(told["definition"])
    assert definition.kind == "source"
    assert definition.digest == told["digest"]
    assert "unused" not in definition.source
    assert "UNUSED" not in definition.source
    with pytest.raises(TrustError, match=r"captured from .*build\(trust_source=True\)"):
        build("net", definition, no_program)
    trust.vouch(definition)
    module = build("net", definition, no_program).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.01)
        torch.testing.assert_close(module(torch.ones(1, 1, 12, 12)), torch.tensor(told["said"]))


def test_comments_make_no_other_definition() -> None:
    one = Definition("source", "f", source="def f():\n    return 1\n")
    assert Definition("source", "f", source="# a comment\ndef f():\n\n    return 1").digest == one.digest
    assert Definition("source", "f", source="def f():\n    return 2\n").digest != one.digest


def test_a_notebook_cell_is_read_from_the_cell(tmp_path: Path) -> None:
    """A class of a notebook has no file; its methods know the cell. A cell that is run again replaces the first."""
    script = """
import json, linecache, sys
main = vars(sys.modules["__main__"])
def cell(number, text):
    name = f"/tmp/ipykernel_1/{number}.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile("".join(l for l in text.splitlines(True) if not l.startswith("%")), name, "exec"), main)
cell(1, "import torch\\nfrom torch import nn\\nWIDTH = 3\\nact = nn.ReLU()\\n")
cell(2, "class Net(nn.Module):\\n    def forward(self, x):\\n        return x\\n")
cell(3, "class Net(nn.Module):\\n    def forward(self, x):\\n        return act(x * WIDTH)\\n")
main["WIDTH"] = 5
del main["__file__"]
from odin_graph.runtime.models.definition import define
print(json.dumps({"source": define(main["Net"])[0].source}))
"""
    file = tmp_path / "cells.py"
    file.write_text(script)
    source = run_script(file)["source"]
    definition = Definition("source", "Net", source=source)
    trust.vouch(definition)
    torch.testing.assert_close(
        build("net", definition, no_program)(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 10.0])
    )


def test_a_class_that_its_module_no_longer_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another class of that name would be stored in its place, or none."""
    names: dict[str, object] = {}
    exec("from torch import nn\nclass Small(nn.Sequential): pass", names)
    with pytest.raises(ModelError, match=r"builtins\.Small is not the object that you gave"):
        define(names["Small"])  # type: ignore[arg-type]
    monkeypatch.setattr(SmallNet, "__module__", "__main__")
    with pytest.raises(ModelError, match=r"__main__\.SmallNet is not the object that you gave"):
        define(SmallNet)


def test_a_class_inside_a_function_is_refused_with_the_remedy() -> None:
    class Inner(nn.Module):
        pass

    with pytest.raises(ModelError, match=r"Inner is defined inside something else.*define it at the top level"):
        define(Inner)


@pytest.mark.parametrize(
    ("factory", "kwargs", "message"),
    [
        ("torchvision.models:resnet17", {}, "'torchvision.models:resnet17' cannot be imported here: AttributeError"),
        ("no_such_package:Net", {}, "No module named 'no_such_package'"),
        ("torchvision.models", {}, "write 'package.module:name'"),
        (3, {}, "3 is not a factory"),
        (SmallNet, {"width": torch.ones(2)}, "argument 'width' of the model, .* has no JSON form"),
        (SmallNet, {"width": float("nan")}, "argument 'width'"),
    ],
)
def test_what_cannot_be_recorded_is_refused(factory: object, kwargs: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        define(factory, kwargs=kwargs)


def test_no_function_is_called_that_does_not_make_modules(tmp_path: Path) -> None:
    """A workspace is data of others: it must not be able to call whatever is installed here."""
    mark = tmp_path / "mark"
    with pytest.raises(TrustError, match="call os:mkdir, a function that does not say"):
        build("m", Definition("factory", "os:mkdir", (str(mark),)), no_program)
    assert not mark.exists()


def test_a_factory_that_fails_is_named() -> None:
    with pytest.raises(ModelError, match=r"SmallNet\(depth=3\) fails: TypeError"):
        build("m", Definition("factory", "tests.runtime.networks:SmallNet", kwargs={"depth": 3}), no_program)


def test_a_dry_run_draws_no_random_numbers() -> None:
    class Awkward(SmallNet):
        """Looks at its own numbers, which a model on the meta device has not."""

        def __init__(self) -> None:
            super().__init__()
            assert float(self.first.weight.detach().sum()) != 0.0

    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    for make in (SmallNet, Awkward):
        assert inspect(make, (1, 28, 28))[0].shape == (10,)
    assert torch.equal(torch.random.get_rng_state(), before)


class Doubled(nn.Module):
    """An instance that carries what no argument says."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * 2


def test_an_instance_is_kept_as_a_program_with_its_layers() -> None:
    torch.manual_seed(0)
    module = Doubled(Fixed()).train()
    program, again = (export_program(module, (1, 28, 28)) for _ in range(2))
    assert module.net.training
    definition = Definition("program", program.digest, source=program.graph)
    assert Definition("program", again.digest, source=again.graph).digest == definition.digest
    with pytest.raises(TrustError, match=r"exported program \(.pt2\), which runs code"):
        build("doubled", definition, lambda: program.data)
    trust.vouch(definition)
    loaded = build("doubled", definition, lambda: program.data)
    images = torch.rand(7, 1, 28, 28)
    torch.testing.assert_close(loaded(images), module.eval()(images))
    rows = {row.name: row for row in inspect(lambda: build("doubled", definition, lambda: program.data), (1, 28, 28))}
    assert rows["net.body.1"].shape == (32,)
    assert loaded.state_dict().keys() == module.state_dict().keys()


def test_what_cannot_be_exported_says_what_to_do() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum().item() > 0 else -x

    with pytest.raises(ModelError, match=r"Branching cannot be exported: .* Give its class and arguments"):
        export_program(Branching(), (1, 4, 4))
