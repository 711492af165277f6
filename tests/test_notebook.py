"""A notebook: models of a cell, workers that fork and spawn, and answers that display themselves."""

from __future__ import annotations

import textwrap
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.starts_engine

CELLS = [
    """
    import numpy as np, torch
    from sklearn.datasets import load_digits
    import odin_graph as og
    from odin_graph import F
    db = og.connect("notebook.odin")
    digits = load_digits()
    db.images.add(images=digits.images[:60].astype(np.uint8), labels=digits.target[:60].tolist(), progress=False)
    everything = db.datasets.add("digits", db.images())
    db
    """,
    """
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = torch.nn.Conv2d(1, 4, 3)
            self.head = torch.nn.Linear(4 * 36, 10)

        def forward(self, x):
            return self.head(torch.relu(self.features(x)).flatten(1))

    db.models.add("net", Net, input_shape=(1, 8, 8), classes=list(range(10)), preprocess=[og.ops.ToFloat()])
    """,
    """
    run = db.run("net", train=everything)
    run.add_checkpoint(Net())
    run.predict(everything)
    run.finish()
    exp = db.experiment("net/1")
    db.images("digits").where(exp.wrong).representative(4, by=exp.layer("features"), seed=0)
    """,
    """
    loaders = [
        torch.utils.data.DataLoader(everything.to_torch(), batch_size=16, num_workers=2, multiprocessing_context=how)
        for how in ("fork", "spawn")
    ]
    print([sum(len(batch) for batch, _ in loader) for loader in loaders])
    """,
    """
    db.images("digits").where(F("label") == 3).sheet()
    """,
    """
    pid = db.bolt.pid
    db.close()
    pid
    """,
]


def test_progress_shows_in_a_notebook_without_widgets(tmp_path: Path) -> None:
    """One line that is written anew, and no warning, where ipywidgets is not installed."""
    cell = """
    import os, sys, warnings
    os.environ.pop("ODIN_PROGRESS", None)
    sys.modules["ipywidgets"] = None
    warnings.simplefilter("error")
    from odin_graph.progress import progress_bar
    with progress_bar("predict", 3, show=True) as advance:
        for _ in range(3):
            advance(1)
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell).strip())])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data"]
    assert outputs[0].data["text/plain"].startswith("predict ━━━━━━━━━━━━━━━━━━━━ 3/3")


def test_a_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [{kind: text for output in cell.outputs for kind, text in output.get("data", {}).items()} for cell in cells]
    assert "60" in shown[0]["text/html"]
    assert "net" in shown[1]["text/plain"]
    assert "digest" not in shown[2]["text/html"], "a display has what a reader cares for"
    assert "wrong" in shown[2]["text/html"] or "wrong" in shown[2]["text/plain"]
    assert "[60, 60]" in cells[3].outputs[0]["text"]
    assert shown[4]["image/png"]
