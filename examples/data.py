"""The life of a data set: crop, version, relabel, find what is affected, find a leak, and train.

    python examples/data.py [FOLDER]

The images are photographs that ship with scikit-image (`pip install scikit-image`); four of them represent
four patients, and a "scan" is a part of one. Everything is written into FOLDER (by default ``data-out``).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import skimage.data
import torch
from torch import Tensor, nn

import odin_graph as og
from odin_graph import F

PATIENTS = {
    "astronaut": skimage.data.astronaut,
    "cat": skimage.data.chelsea,
    "coffee": skimage.data.coffee,
    "rocket": skimage.data.rocket,
}
SIDE = 128


class SmallNet(nn.Module):
    """Two convolutions: a small network that can learn."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU())
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) in, (n, 2) out."""
        out: Tensor = self.head(self.features(x).mean((2, 3)))
        return out


def scans() -> dict[str, list]:
    """Overlapping parts of each photograph, as a follow-up of one patient would be."""
    columns: dict[str, list] = {"images": [], "ids": [], "labels": [], "patient": [], "visit": []}
    for patient, load in PATIENTS.items():
        photo = load()
        places = [(y, x) for y in (0, 60, 120) for x in (0, 90, 180)]
        for visit, (y, x) in enumerate(places):
            part = photo[y : y + SIDE, x : x + SIDE]
            columns["images"].append(part)
            columns["ids"].append(f"{patient}/visit-{visit}")
            columns["labels"].append("bright" if part.mean() > 100 else "dark")
            columns["patient"].append(patient)
            columns["visit"].append(visit)
    return columns


def train(db: og.Workspace, parts: dict[str, og.Dataset], **how: object) -> og.Experiment:
    """Train on one part, predict the other."""
    with db.run("small", train=parts["train"], test=parts["test"], params={"lr": 0.01, "epochs": 25}, **how) as run:
        torch.manual_seed(0)
        net = SmallNet()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        loader = torch.utils.data.DataLoader(parts["train"].to_torch(model="small"), batch_size=8, shuffle=True)
        for _ in range(25):
            for images, targets in loader:
                loss = nn.functional.cross_entropy(net(images), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            run.log({"loss": loss.item()})
        run.add_checkpoint(net)
        run.predict(parts["test"], progress=False)
    return run.experiment


def main(folder: Path) -> None:
    """Run all steps and print what happens."""
    columns = scans()
    with og.connect(folder / "data.odin") as db:
        metadata = {name: columns[name] for name in ("patient", "visit")}
        db.images.add(
            images=columns["images"], ids=columns["ids"], labels=columns["labels"], metadata=metadata, progress=False
        )
        print(f"1. {len(db.images)} scans of {len(PATIENTS)} patients\n   {db.images().save(folder / 'scans.png')}")

        originals = db.images(columns["ids"])
        wide = originals.center_crop(112).resize(48).store("wide", progress=False)
        close = originals.center_crop(64).resize(48).store("close", progress=False)
        print(f"2. crops, stored with their lineage: {db.image(columns['ids'][0]).descendants()}")

        every = db.datasets.add("crops", [*wide, *close], revise=True)
        careless = every.split({"train": 0.6, "test": 0.4}, stratify="label", seed=0, revise=True)
        report = db.leaks(careless["train"], careless["test"], rules=["lineage", "near", F("patient")], within=10)
        print(f"3. random split, and the leaks in it:\n{report}\n   {report.save(folder / 'leaks.png')}")

        parts = {
            name.removeprefix("by-patient-"): part
            for name, part in every.split(
                {"by-patient-train": 0.5, "by-patient-test": 0.5}, group_by="patient", seed=0, revise=True
            ).items()
        }
        print(f"4. split by patient: {db.leaks(parts['train'], parts['test'], rules=['lineage', F('patient')])}")

        db.models.add(
            "small",
            SmallNet,
            input_shape=(3, 48, 48),
            classes=["bright", "dark"],
            preprocess=[og.ops.ToFloat(), og.ops.Normalize(mean=(0.4,) * 3, std=(0.25,) * 3)],
        )
        exp = train(db, parts, strict=True)
        print(f"5. trained: {exp.results(parts['test']).accuracy:.0%} right on patients it has never seen")

        wrong = parts["train"].images()[:2].to_arrow("id").column("id").to_pylist()
        truth = {"bright": "dark", "dark": "bright"}
        db.labels.update({id_: truth[db.image(id_).label] for id_ in wrong}, why="read again", who="a second reader")
        change = db.labels.history(wrong[0]).iloc[0]
        print(f"6. two labels corrected: {wrong[0]} from {change.before} to {change.after} by {change.who}")
        touched = db.impact(wrong)
        print(f"   {touched}\n   {touched.save(folder / 'impact.png')}")

        corrected = every.revise(relabel={id_: db.image(id_).label for id_ in wrong})
        print(f"7. the next version: {every.diff(corrected)}")

        again = {**parts, "train": parts["train"].revise(relabel={id_: db.image(id_).label for id_ in wrong})}
        train(db, again, informed_by=exp)
        print(f"8. {db.datasets[parts['test'].id].test_uses()}")
        print(
            db.sql("SELECT id, test, accuracy FROM experiments ORDER BY started_at").to_pandas().to_string(index=False)
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore", og.LeakWarning)  # the example prints these leaks itself
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "data-out")
    target.mkdir(parents=True, exist_ok=True)
    main(target)
