"""Loaders: every image once, in an order of seed and epoch alone, and on after a crash; on both engines."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import odin_graph as og
from odin_graph import F
from odin_graph.ops import RandomApply, RandomCrop, RandomResizedCrop, ToFloat
from odin_graph.ops.augmentation import augmentation_json, read_augmentations
from odin_graph.runtime.pixels import runs
from odin_graph.runtime.pixels.runs import Runs
from odin_graph.runtime.training.epochs import Epochs, balanced
from tests.forking import run
from tests.kept import kept
from tests.runtime.digits import digits
from tests.shares import share

pytestmark = pytest.mark.one_engine

N = 150


@kept
def db(db: og.Workspace) -> og.Workspace:
    """Digits, whose first pixel is their number in the data set, so that a batch says what it holds."""
    images, labels = digits(N)
    marked = images.copy()
    marked[:, 0, 0] = np.arange(N)
    db.images.add(
        images=marked,
        labels=[str(label) for label in labels],
        metadata={"often": [float(n % 3) for n in range(N)], "n": list(range(N))},
    )
    return db


def marks(batch: Any) -> list[int]:
    return [int(mark) for mark in batch[0][:, 0, 0, 0].tolist()]


epochs_of = st.builds(
    Epochs,
    keys=st.integers(1, 300).map(lambda n: np.arange(n) * 3 + 5),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**31),
    block=st.none() | st.integers(1, 50),
    mixed=st.integers(1, 5),
    drop_last=st.booleans(),
)


@settings(max_examples=share(200))
@given(epochs=epochs_of, epoch=st.integers(0, 9), lanes=st.integers(1, 5))
def test_every_image_once_an_epoch(epochs: Epochs, epoch: int, lanes: int) -> None:
    """And the batches are the same for any number of lanes."""
    number = len(epochs.keys)
    assert sorted(epochs.order(epoch).tolist()) == list(range(number))
    one, many = ([batch.positions for batch in epochs.batches(epoch, n)] for n in (1, lanes))
    assert len(one) == len(many) == len(epochs)
    assert sorted(map(tuple, one)) == sorted(map(tuple, many))
    held = [place for batch in one for place in batch.tolist()]
    assert (
        len(set(held)) == len(held) == (number // epochs.batch_size * epochs.batch_size if epochs.drop_last else number)
    )


def test_order_is_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int, **how: Any) -> list[int]:
        return Epochs(keys=np.arange(500), batch_size=7, seed=seed, **how).order(epoch).tolist()

    for how in ({}, {"block": 20, "mixed": 3}):
        assert order(1, 2, **how) == order(1, 2, **how)
        assert len({tuple(order(seed, epoch, **how)) for seed in range(3) for epoch in range(3)}) == 9


def test_runs_stay_together() -> None:
    """In one mixture come the images of a few runs of neighbors, and of no other: that is what is held in memory."""
    keys = np.random.default_rng(0).permutation(1000) * 2
    epochs = Epochs(keys=keys, batch_size=10, block=25, mixed=4)
    place = np.argsort(np.argsort(keys))
    order = epochs.order(3)
    for start in range(0, 1000, 100):
        assert len(set(place[order[start : start + 100]] // 25)) == 4


def test_runs_read_each_image_once() -> None:
    asked: list[int] = []

    class Counting:
        def read_list(self, keys: np.ndarray) -> list[np.ndarray]:
            asked.extend(keys.tolist())
            return [np.array([key]) for key in keys]

    keys = np.arange(0, 3000, 3)
    epochs = Epochs(keys=keys, batch_size=16, block=20, mixed=5)
    runs = Runs(Counting(), keys, 20, 6)  # type: ignore[arg-type]
    for batch, _ in epochs.batches(0):
        assert [int(row[0]) for row in runs.read_list(keys[batch])] == keys[batch].tolist()
    assert sorted(asked) == keys.tolist()


@given(labels=st.lists(st.integers(0, 5), min_size=1, max_size=200))
def test_balanced_weights(labels: list[int]) -> None:
    weights = balanced(np.array(labels))
    sums = {label: weights[np.array(labels) == label].sum() for label in set(labels)}
    np.testing.assert_allclose(list(sums.values()), 1)


def test_a_loader_gives_pixels_and_targets(db: og.Workspace) -> None:
    loader = db.images().loader(32, seed=4)
    expected = {image.fields["n"]: (image.pixels, image.label) for image in db.images}
    classes = sorted({label for _, label in expected.values()})
    seen: Counter[int] = Counter()
    for inputs, targets in loader:
        assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
        for one, target in zip(inputs, targets.tolist(), strict=True):
            number = int(one[0, 0, 0])
            seen[number] += 1
            np.testing.assert_array_equal(one.numpy().transpose(1, 2, 0), expected[number][0].astype(np.float32))
            assert classes[target] == expected[number][1]
    assert seen == dict.fromkeys(range(N), 1)
    assert (len(loader), loader.epoch) == (5, 1)
    again = [marks(batch) for batch in loader]
    assert sorted(chain(*again)) == list(range(N))
    in_order = [marks(batch) for batch in db.images().loader(32, shuffle=False)]
    assert list(chain(*in_order)) == list(range(N))
    assert len(list(db.images().loader(32, drop_last=True))) == 4


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_it_goes_on_after_any_batch(db: og.Workspace, stream: bool, workers: int) -> None:
    """With the batches that had not come, in any process, also with another number of workers."""

    def made(workers: int = workers, **how: Any) -> Any:
        return db.images().loader(20, seed=3, stream=stream, workers=workers, **how)

    whole = made()
    every = [marks(batch) for _ in range(2) for batch in whole]
    for stop in (0, 3, 7, 8, 15):
        first = made()
        given = []
        while len(given) < stop:
            for batch in first:
                given.append(marks(batch))
                if len(given) == stop:
                    break
        state = json.loads(json.dumps(first.state_dict()))
        second = made(workers=0 if workers else 2)
        second.load_state_dict(state)
        rest = [marks(batch) for _ in range(2 - second.epoch) for batch in second]
        assert given == every[:stop]
        assert rest == every[stop:]
    with pytest.raises(og.DataError, match="another batch size, seed"):
        db.images().loader(21, seed=3, stream=stream).load_state_dict(state)
    with pytest.raises(og.DataError, match="not a state of a loader"):
        made().load_state_dict({"epoch": 1})


@pytest.mark.parametrize(
    "how",
    [{}, {"weights": "often", "augment": [RandomApply("flip", p=0.5)], "drop_last": True}],
    ids=["plain", "weights and augmentations"],
)
def test_the_order_is_the_same_for_any_number_of_workers(
    db: og.Workspace, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    """In two epochs, and when another number of workers goes on in the middle of one: batch by batch."""
    monkeypatch.setattr(runs, "_RUN_BYTES", 400)  # several runs, though there are few images

    def made(workers: int) -> Any:
        return db.images().loader(16, seed=3, stream=True, workers=workers, **how)

    assert made(0).epochs.lanes > 1
    expected = made(0)
    every = [batch for _ in range(2) for batch in expected]
    for workers in (1, 2):  # no more than CI has cores
        loader = made(workers)
        found = [batch for _ in range(2) for batch in loader]
        _same_batches(found, every)
        cut = made(workers)
        for _, batch in zip(range(5), cut, strict=False):
            assert batch is not None
        resumed = made(0 if workers == 2 else 2)
        resumed.load_state_dict(json.loads(json.dumps(cut.state_dict())))
        _same_batches(list(resumed), every[5 : len(resumed)])


def _same_batches(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_a_left_epoch_begins_again(db: og.Workspace) -> None:
    loader = db.images().loader(50)
    first = marks(next(iter(loader)))
    assert marks(next(iter(loader))) == first
    assert loader.epoch == 0


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers(db: og.Workspace, context: str, soak: bool) -> None:
    """Forked and spawned ones give what this process gives, augmentations among it, map-style and in runs."""
    augment = [RandomApply("flip", p=0.5), RandomApply("rotate", between={"degrees": (-20.0, 20.0)})]
    for stream in (False, True):
        here = db.images().loader(40, stream=stream, augment=augment)
        there = db.images().loader(40, stream=stream, augment=augment, workers=2, multiprocessing_context=context)
        for _ in range(1 if context == "spawn" and not soak else 2):  # a spawned worker imports torch first
            ours, theirs = list(here), list(there)
            key = lambda batch: batch[1].tolist()  # noqa: E731
            for one, other in zip(sorted(ours, key=key), sorted(theirs, key=key), strict=True):
                assert torch.equal(one[0], other[0])
                assert torch.equal(one[1], other[1])


def test_a_stream_in_a_loader_of_ones_own(db: og.Workspace) -> None:
    for workers in (0, 1, 2):
        stream = db.images().to_stream(seed=5)
        stream.set_epoch(2)
        found = [mark for batch in DataLoader(stream, batch_size=16, num_workers=workers) for mark in marks(batch)]
        assert sorted(found) == list(range(N))
    ordered = [int(image[0, 0, 0]) for image, _ in stream]
    assert ordered != sorted(ordered)
    other = db.images().to_stream(seed=5)
    other.set_epoch(2)
    held = iter(other)
    given = [int(next(held)[0][0, 0, 0]) for _ in range(70)]
    resumed = db.images().to_stream(seed=5)
    resumed.load_state_dict(other.state_dict())
    assert given + [int(image[0, 0, 0]) for image, _ in resumed] == ordered
    assert pickle.loads(pickle.dumps(stream)).dataset.keys.tolist() == stream.dataset.keys.tolist()


def test_weights(db: og.Workspace) -> None:
    by_field = db.images().loader(50, weights="often", seed=1)
    drawn = Counter(mark for _ in range(20) for batch in by_field for mark in marks(batch))
    assert all(mark % 3 for mark in drawn)
    shares = np.array([sum(n for mark, n in drawn.items() if mark % 3 == rest) for rest in (1, 2)]) / (20 * N)
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3], atol=0.03)  # 3,000 draws: a deviation of 0.009

    uneven = db.images().where((F("label") == "0") | (F("n") < 60))
    loader = uneven.loader(50, weights="balanced")
    said = Counter(target for _ in range(20) for _, targets in loader for target in targets.tolist())
    np.testing.assert_allclose(np.array(list(said.values())) / sum(said.values()), 0.1, atol=0.03)

    array = np.zeros(N)
    array[7] = 2
    assert {mark for batch in db.images().loader(50, weights=array) for mark in marks(batch)} == {7}
    for weights, error in (
        (np.zeros(N), og.DataError),
        (np.ones(3), og.DataError),
        (-np.ones(N), og.DataError),
        ({"a": 1.0}, og.DataError),
        ("label", og.QueryError),
        ("oftn", og.UnknownNameError),
    ):
        with pytest.raises(error):
            db.images().loader(50, weights=weights)
    with pytest.raises(og.DataError, match="give the classes in the order of their indexes"):
        db.images().loader(50, classes={"a", "b"})


def test_an_image_that_comes_again_is_augmented_in_another_way(db: og.Workspace) -> None:
    """Oversampling a rare class with the same pictures would be no better than the same gradient twice."""
    only = np.zeros(N)
    only[7] = 1
    loader = db.images().loader(
        50, weights=only, augment=[RandomApply("rotate", between={"degrees": (-30.0, 30.0)})], seed=2
    )
    pictures = {one.numpy().tobytes() for inputs, _ in loader for one in inputs}
    assert len(pictures) > 0.9 * N
    loader = db.images().loader(
        50, weights=only, augment=[RandomApply("rotate", between={"degrees": (-30.0, 30.0)})], seed=2
    )
    assert {one.numpy().tobytes() for inputs, _ in loader for one in inputs} == pictures


def test_augmentations_are_of_seed_epoch_and_image(db: og.Workspace) -> None:
    augment = [RandomApply("flip", p=0.5), RandomCrop(8, pad=2)]
    data = db.images().to_torch(augment=augment, seed=9)
    first = [data[n][0] for n in range(20)]
    assert all(torch.equal(one, data.batch(np.arange(20))[0][n]) for n, one in enumerate(first))
    data.set_epoch(1)
    assert sum(not torch.equal(one, data[n][0]) for n, one in enumerate(first)) > 15
    again = db.images().to_torch(augment=[augmentation_json(one) for one in augment], seed=9)
    assert all(torch.equal(one, again[n][0]) for n, one in enumerate(first))
    other = db.images().to_torch(augment=augment, seed=10)
    assert sum(not torch.equal(one, other[n][0]) for n, one in enumerate(first)) > 15


def test_a_varied_flip_is_a_flip_or_nothing(db: og.Workspace) -> None:
    data = db.images().to_torch(augment=[RandomApply("flip", p=0.3)])
    flipped = 0
    for number, image in enumerate(db.images):
        plain = torch.from_numpy(image.pixels.astype(np.float32).transpose(2, 0, 1).copy())
        same, mirrored = torch.equal(data[number][0], plain), torch.equal(data[number][0], plain.flip(-1))
        assert same or mirrored
        flipped += mirrored and not same
    assert 0.15 < flipped / N < 0.45  # a share of 0.3 has a deviation of 0.037


def test_random_resized_crops() -> None:
    generator = np.random.default_rng(0)
    areas = []
    for _ in range(300):
        *crop, resize = RandomResizedCrop(24).draw(generator, (60, 90, 3))
        image = np.zeros((60, 90, 3), np.float32)
        for op in crop:
            image = op(image)
            areas.append(image.shape[0] * image.shape[1] / 5400)
            assert 0.7 < image.shape[1] / image.shape[0] < 1.45
        assert resize(image).shape == (24, 24, 3)
    assert min(areas) > 0.07
    assert 0.3 < np.mean(areas) < 0.6


def test_a_run_records_its_loader(db: og.Workspace) -> None:
    train = db.datasets.add("train", db.images())
    augment = [RandomApply("flip", p=0.5)]
    with db.run(id="r", train=train, seed=7) as run:
        loader = run.loader(train, 32, augment=augment, weights="balanced")
        next(iter(loader))
        run.loader("train", 32, augment=augment, weights="balanced")
    with db.run(id="r", resume=True) as run:  # gone on with: what it says is there once
        run.loader(train, 32, augment=augment, weights="balanced")
    said = db.experiment("r").loaders
    assert [row["of"] for row in said] == ["train@1", "train"]
    assert said[0]["augment"] == [augmentation_json(augment[0])]
    assert (said[0]["seed"], said[0]["batch_size"], said[0]["weighted"], said[0]["images"]) == (7, 32, True, N)
    assert read_augmentations(said[0]["augment"]) == tuple(augment)


def test_operations_come_before_augmentations_and_preprocessing(db: og.Workspace) -> None:
    db.models.add("m", "torch.nn:Identity", preprocess=[ToFloat()])
    lazy = db.images().resize(16)
    (inputs, _), *_ = lazy.loader(10, model="m", shuffle=False, augment=[RandomCrop(12)])
    assert inputs.shape == (10, 1, 12, 12)
    assert float(inputs.max()) <= 1
    plain, *_ = lazy.loader(10, model="m", shuffle=False)
    expected = [ToFloat()(one.pixels) for one in lazy.limit(10)]
    np.testing.assert_array_equal(plain[0].numpy().transpose(0, 2, 3, 1), np.stack(expected))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda db: db.images().loader(0), og.DataError, "batch of 0"),
        (lambda db: db.images().loader(seed=-1), og.DataError, "seed is -1"),
        (lambda db: db.images().where(F("n") > 999).loader(), og.DataError, "no image to load"),
        (lambda db: db.images().loader(collate_fn=list), og.DataError, "collate_fn"),
        (lambda db: db.images().loader(augment=RandomApply("flip")), og.DataError, "augment"),
        (lambda db: db.images().loader(augment=["flip"]), og.DataError, "not an augmentation"),
        (lambda db: RandomApply("flop"), og.UnknownNameError, "flop"),
        (lambda db: RandomApply("flip", p=2), og.DataError, "p=2"),
        (lambda db: RandomApply("rotate", between={"degrees": (3, 1)}), og.DataError, "not a range"),
        (lambda db: RandomApply("rotate", between={"degree": (1, 3)}), og.UnknownNameError, "degree"),
        (lambda db: RandomApply("blur", between={"sigma": (-1.0, 1.0)}), og.DataError, "blur"),
        (
            lambda db: next(iter(db.images().loader(augment=[RandomCrop(99)]))),
            og.DataError,
            r"Image of key \d+: .* no box of 99 x 99",
        ),
        (lambda db: db.images().to_stream(mixed_bytes=0), og.DataError, "0 bytes"),
    ],
)
def test_bad_input(db: og.Workspace, call: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        call(db)


_KILLED = """
import json, os, sys
import odin_graph as og
from odin_graph.address import Address
from odin_graph.objects.query.query import Query
from odin_graph.query.plan.plan import AllImages, Plan

loader = Query(Address(**json.loads(sys.argv[1])), Plan(AllImages())).loader(20, seed=3)
for number, batch in enumerate(loader):
    print(json.dumps({"marks": batch[0][:, 0, 0, 0].tolist(), "state": loader.state_dict()}), flush=True)
    if number == 3:
        os.kill(os.getpid(), 9)
"""


def test_a_killed_training_goes_on(db: og.Workspace) -> None:
    from dataclasses import asdict

    said = run(["-c", _KILLED, json.dumps(asdict(db.images().address))])
    assert said.returncode == -9, said.stderr
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    loader = db.images().loader(20, seed=3)
    loader.load_state_dict(lines[-1]["state"])
    given = [int(mark) for line in lines for mark in line["marks"]]
    assert sorted(given + [mark for batch in loader for mark in marks(batch)]) == list(range(N))
