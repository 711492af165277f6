"""What rules of one constant would have cost, beside the cost model, for `benchmarks.policy`.

A rule knows no speeds. It is given the questions that were measured, one after the other, and stores f32 when it
decides to. Each rule has a store of its own, so that it pays for what it stored and for what it did not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Row
from odin_graph.query.units.unit_source import FEWEST

NEAR: Final = 1.2
RUN: Final = "run None"
COUNTS: Final = (1, 2, 3, 4, 6, 8, 12, 20)
TIMES: Final = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_ONCE: Final = 0.15
_VALUE: Final = 1e-8
"""Seconds that storing takes beside the run, and for each value: what a rule thinks of it."""


@dataclass(frozen=True)
class Kept:
    """What storing a layer in a codec takes beside the run, and what reading it takes then: measured before."""

    once: float
    image: float
    """Seconds an image."""
    ask: float
    value: float
    """Seconds a value of the group."""

    def making(self, images: int) -> float:
        """Seconds of storing so many."""
        return self.once + self.image * images

    def asking(self, values: int) -> float:
        """Seconds of a question."""
        return self.ask + self.value * values


@dataclass(frozen=True)
class Measured:
    """A question, and what each way to answer it took."""

    layer: str
    width: int
    images: slice
    """The images of the layer that it is about."""
    later: float
    """How many more such questions are expected."""
    taken: str
    """The way that odin_graph chose."""
    seconds: float
    """What that took, with all that it stored."""
    costs: Mapping[str, float]
    """Seconds a question of each way, as odin_graph's store was."""
    estimated: int
    """How many of them are known from before."""
    told: str
    """The same, beside what was expected."""
    asking: Mapping[str, float]
    """Seconds of reading all of it, by codec."""
    kept: Mapping[str, Kept]
    """By codec."""

    @property
    def number(self) -> int:
        """The number of its images."""
        return len(range(self.images.start, self.images.stop))

    @property
    def run(self) -> float:
        """Seconds of running the model."""
        return self.costs[RUN]

    def ways(self, missing: int) -> dict[str, tuple[float, float]]:
        """Seconds once and each time, by way, where f32 is stored of all but some images."""
        lacking = self.run * missing / self.number
        ways = {RUN: (0.0, self.run)}
        if missing < self.number:
            ways["read f32"] = 0.0, self.asking["f32"] + lacking
        if missing >= FEWEST:
            ways["store f32"] = self.kept["f32"].making(missing) + lacking, self.asking["f32"]
        if self.number >= FEWEST:
            for codec in self.asking.keys() - {"f32"}:
                ways[f"store {codec}"] = self.kept[codec].making(self.number) + self.run, self.asking[codec]
        return ways


@dataclass
class Account:
    """How near to the best the choices were."""

    ratios: list[float] = field(default_factory=list)
    cost: float = 0.0
    best: float = 0.0
    seconds: float = 0.0

    def take(self, cost: float, best: float, seconds: float) -> None:
        """Add a choice: what it costs a question, what the best way does, and what it took."""
        self.ratios.append(cost / best)
        self.cost += cost
        self.best += best
        self.seconds += seconds

    @property
    def share(self) -> float:
        """The percentage of choices that were near."""
        return 100 * float(np.mean(np.array(self.ratios) <= NEAR))


@dataclass
class Past:
    """What a rule knows of a layer."""

    stored: NDArray[np.bool_]
    asked: int = 0
    ran: float = 0.0
    """Seconds of running its model so far."""


Rule = Callable[[Past, Measured, int], bool]
"""Whether to store now, where so many images are missing."""


def counted(times: int) -> Rule:
    """Run until the layer was asked so many times."""
    return lambda past, _one, _missing: past.asked >= times


def rented(times: float) -> Rule:
    """Run until that took so many times as long as storing is thought to take."""
    return lambda past, one, missing: past.ran >= times * (_ONCE + _VALUE * one.width * missing) and past.asked > 0


def account(questions: Sequence[Measured], rule: Rule, *, reads: bool = True) -> Account:
    """What a rule pays: it reads what is stored, runs what is not, and stores when the rule says so."""
    most = max(one.images.stop for one in questions)
    pasts: defaultdict[str, Past] = defaultdict(lambda: Past(np.zeros(most, bool)))
    found = Account()
    for one in questions:
        past = pasts[one.layer]
        missing = int(np.count_nonzero(~past.stored[one.images]))
        ways = one.ways(missing)
        if "store f32" in ways and rule(past, one, missing):
            way = "store f32"
            past.stored[one.images] = True
        else:
            way = "read f32" if reads and "read f32" in ways else RUN
            past.ran += one.run * missing / one.number
        past.asked += 1
        costs = {name: once / (1 + one.later) + each for name, (once, each) in ways.items()}
        found.take(costs[way], min(costs.values()), sum(ways[way]))
    return found


def product(questions: Sequence[Measured]) -> Account:
    """What odin_graph paid."""
    found = Account()
    for one in questions:
        found.take(one.costs[one.taken], min(one.costs.values()), one.seconds)
    return found


def rows(questions: Sequence[Measured]) -> Iterator[Row]:
    """The figures of rules, and of those whose constant is the best in hindsight."""
    running = sum(one.run for one in questions)
    yield Row("seconds of all questions, against running every time", product(questions).seconds / running, "x")
    counts = {f"stored when asked {times} times before": account(questions, counted(times)) for times in COUNTS}
    rents = {
        f"stored when running took {times:g} x what storing takes": account(questions, rented(times)) for times in TIMES
    }
    shown = {
        "always run": account(questions, lambda *_: False, reads=False),
        "always stored": account(questions, lambda *_: True),
    }
    for some in (counts, rents):
        for name in (max(some, key=lambda name: some[name].share), min(some, key=lambda name: some[name].seconds)):
            shown[name] = some[name]
    for name, one in shown.items():
        yield Row(f"{name}: within {NEAR:g} x of the best", one.share, "%")
        yield Row(f"{name}: cost against the best way's, all together", one.cost / one.best, "x")
        yield Row(f"{name}: worst choice against the best way", max(one.ratios), "x")
        yield Row(f"{name}: seconds of all questions, against running every time", one.seconds / running, "x")
