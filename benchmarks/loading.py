"""Random batches for a training: ours beside torchvision's ImageFolder, Lance and Deep Lake, on the same images.

python -m benchmarks.loading [--quick] [--json FILE]

Fashion-MNIST (28 x 28, PNG for ImageFolder) and crops of photographs (224 x 224 x 3, JPEG), in batches of 128, with 0
and 2 workers, each as float32 tensors (n, bands, h, w). Every source is read once before it is timed, so that all have
warm files; a clock runs from the first batch on, so that starting workers does not count. The peers hold raw pixels,
which is what they read fastest. `pip install "odin-graph[bench]"` brings them.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import odin_graph as og
from benchmarks.pictures import crops, fashion
from benchmarks.report import Row, WrongAnswer, run

BATCH = 128
TURNS = 3
Pixels = NDArray[np.uint8]


def measure(quick: bool) -> list[Row]:
    """Both kinds of images."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        small = fashion()[0][: 6_000 if quick else 60_000]
        rows += compare("28 x 28", small, Path(folder) / "small", "png", quick, folders=5.0, beats=True)
        large = crops(2_000 if quick else 5_000)
        rows += compare("224 x 224", large, Path(folder) / "large", "jpg", quick, folders=3.0, beats=False)
    return rows


def compare(
    name: str, pixels: Pixels, folder: Path, suffix: str, quick: bool, *, folders: float, beats: bool
) -> list[Row]:
    """Images a second of each, and ours against them."""
    labels = np.arange(len(pixels)) % 10
    folder.mkdir()
    sources: dict[str, Callable[[int], Iterable[Any]]] = {}
    with og.connect(folder / "bench.odin") as db:
        db.images.add(images=pixels, labels=labels.tolist(), progress=False)
        loaders = {workers: db.images().loader(BATCH, workers=workers) for workers in (0, 2)}
        sources["odin_graph"] = lambda workers: loaders[workers]
        write_folder(folder / "folder", pixels, labels, suffix)
        sources["ImageFolder"] = lambda workers: torch_loader(
            ImageFolder(
                str(folder / "folder"),
                transform=v2.Compose(
                    [*([v2.Grayscale()] if pixels.ndim == 3 else []), v2.ToImage(), v2.ToDtype(torch.float32)]
                ),
            ),
            workers,
        )
        lance = LanceImages.write(folder / "lance", pixels, labels)
        sources["Lance"] = lambda workers: torch_loader(lance, workers, context="spawn" if workers else None)
        lake = LakeImages.write(folder / "lake", pixels, labels)
        sources["Deep Lake"] = lambda workers: torch_loader(lake, workers, context="spawn" if workers else None)
        total = int(pixels.sum(dtype=np.int64))
        for source in ("odin_graph", "Lance", "Deep Lake"):
            check(source, sources[source](0), total, len(pixels))
        rows: list[Row] = []
        for workers in (0, 2):
            speeds = {source: speed(made, workers, quick) for source, made in sources.items()}
            title = f"{name}, {workers} workers"
            rows += [Row(f"{title}: {source}", value, "images/s") for source, value in speeds.items()]
            ours = speeds["odin_graph"]
            for source, goal in (("ImageFolder", folders), ("Lance", 1.0), ("Deep Lake", 1.0)):
                ratio = ours / speeds[source]
                asked = source == "ImageFolder" or beats
                rows.append(
                    Row(
                        f"{title}: ours against {source}",
                        ratio,
                        "x",
                        f">= {goal:g}" if asked else "",
                        ratio >= goal if asked else True,
                    )
                )
    return rows


def speed(made: Callable[[int], Iterable[Any]], workers: int, quick: bool) -> float:
    """Images a second: the median of some epochs, none of them longer than some seconds."""
    longest = 2.0 if quick else 8.0
    found = []
    for _ in range(1 if quick else TURNS):
        batches = iter(made(workers))
        next(batches)
        began, images = time.perf_counter(), 0
        for inputs, _ in batches:
            images += len(inputs)
            if time.perf_counter() - began > longest:
                break
        found.append(images / (time.perf_counter() - began))
        del batches
    return median(found)


def check(source: str, batches: Iterable[Any], total: int, number: int) -> None:
    """Every image came once: their sums agree."""
    found, images = 0, 0
    for inputs, _ in batches:
        if inputs.dtype != torch.float32:
            raise WrongAnswer(f"{source} gives {inputs.dtype}")
        found += int(inputs.sum(dtype=torch.float64))
        images += len(inputs)
    if (found, images) != (total, number):
        raise WrongAnswer(f"{source} gave {images} images with the sum {found}, and there are {number} with {total}")


def torch_loader(dataset: Dataset[Any], workers: int, context: str | None = None) -> Iterable[Any]:
    """Shuffled batches."""
    return DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers, multiprocessing_context=context)


def write_folder(folder: Path, pixels: Pixels, labels: NDArray[Any], suffix: str) -> None:
    """A file an image, in class folders."""
    for place, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
        path = folder / str(label) / f"{place:06d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, **({"quality": 90} if suffix == "jpg" else {}))


class LanceImages(Dataset[Any]):
    """Rows of a Lance table, raw pixels as binary, taken by position."""

    def __init__(self, path: str, shape: tuple[int, ...], number: int) -> None:
        self.path, self.shape, self.number = path, shape, number
        self._opened: Any = None

    @classmethod
    def write(cls, path: Path, pixels: Pixels, labels: NDArray[Any]) -> LanceImages:
        """Store them."""
        import lance
        import pyarrow as pa

        size = int(np.prod(pixels.shape[1:]))
        for start in range(0, len(pixels), 1000):
            flat = np.ascontiguousarray(pixels[start : start + 1000]).reshape(-1)
            binary = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(size), len(flat) // size, [None, pa.py_buffer(flat.tobytes())]
            )
            table = pa.table({"image": binary, "label": labels[start : start + 1000]})
            lance.write_dataset(table, str(path), mode="append" if start else "create")
        return cls(str(path), pixels.shape[1:], len(pixels))

    def __len__(self) -> int:
        return self.number

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        import lance

        self._opened = self._opened or lance.dataset(self.path)
        table = self._opened.take(list(indices))
        column = table.column("image").combine_chunks()
        flat = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * column.type.byte_width :]
        images = to_tensor(flat[: len(indices) * column.type.byte_width].reshape(len(indices), *self.shape))
        return list(zip(images.unbind(), table.column("label").to_pylist(), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


class LakeImages(Dataset[Any]):
    """Rows of a Deep Lake column, taken by position."""

    def __init__(self, path: str, number: int) -> None:
        self.path, self.number = path, number
        self._opened: Any = None

    @classmethod
    def write(cls, path: Path, pixels: Pixels, labels: NDArray[Any]) -> LakeImages:
        """Store them."""
        import deeplake

        held = deeplake.create(str(path))
        held.add_column("image", deeplake.types.Array("uint8", shape=list(pixels.shape[1:])))
        held.add_column("label", "int64")
        for start in range(0, len(pixels), 1000):
            part = slice(start, start + 1000)
            held.append({"image": np.ascontiguousarray(pixels[part]), "label": labels[part].astype(np.int64)})
        held.commit()
        return cls(str(path), len(pixels))

    def __len__(self) -> int:
        return self.number

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        import deeplake

        if self._opened is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._opened = deeplake.open_read_only(self.path)
        images = to_tensor(np.asarray(self._opened["image"][list(indices)]))
        labels = self._opened["label"][list(indices)]
        return list(zip(images.unbind(), np.asarray(labels).tolist(), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def to_tensor(pixels: NDArray[Any]) -> torch.Tensor:
    """(n, h, w) or (n, h, w, bands) as (n, bands, h, w), float32: what ours gives."""
    held = pixels[..., np.newaxis] if pixels.ndim == 3 else pixels
    return torch.from_numpy(np.array(np.moveaxis(held, -1, 1), np.float32, order="C"))


if __name__ == "__main__":
    raise SystemExit(run("loading", measure))
