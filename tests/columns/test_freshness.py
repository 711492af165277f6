"""Two processes and a foreign client write in any order; the columns of both are what the graph says, at any time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from odin_graph.address import Address
from odin_graph.client.session import LocalSession
from odin_graph.columns.reading import read_deleted
from odin_graph.columns.roots import read_roots
from odin_graph.stores import Stores
from odin_graph.workspace import Workspace
from tests import shares
from tests.shares import share

STEPS = 250 if shares.whole else 40
NAMES = ("id", "label", "age", "digest", "height")
who = st.sampled_from((0, 1))
which = st.integers(0, 30)


class Writers(RuleBasedStateMachine):
    """Both have the same workspace open, with columns and connections of their own, and share the folder of files."""

    address: Address

    def __init__(self) -> None:
        super().__init__()
        self.pair = [self.open(), self.open()]
        self.number = 0
        self.foreign("MATCH (n) WHERE n:Image OR n:Deletion OR n:LabelChange OR n:Segment DETACH DELETE n")
        self.add(0, 3, "age")

    def open(self) -> Workspace:
        return Workspace(LocalSession(Stores.open(self.address)))

    def foreign(self, cypher: str, **params: Any) -> None:
        graph = self.pair[0]._stores.graph
        with graph.driver().session(database=graph.database) as session:
            session.run(cypher, params).consume()

    def ids(self) -> list[str]:
        rows = self.pair[0]._stores.graph.read("MATCH (i:Image) WHERE i.deleted IS NULL RETURN i.id AS id ORDER BY id")
        return [row["id"] for row in rows]

    def some(self, place: int) -> str | None:
        ids = self.ids()
        return ids[place % len(ids)] if ids else None

    @rule(by=who, number=st.integers(1, 80), name=st.sampled_from(("age", "age", "weight")))
    def add(self, by: int, number: int, name: str) -> None:
        pixels = np.random.default_rng(self.number).integers(0, 255, (number, 3, 3), np.uint8)
        ids = [f"i{self.number + place}" for place in range(number)]
        self.pair[by].images.add(
            images=pixels, ids=ids, labels=["a", "b"] * (number // 2) + ["c"] * (number % 2),
            metadata={name: list(range(number))}, progress=False,
        )  # fmt: skip
        self.number += number

    @rule(by=who, place=which, value=st.integers(-3, 3))
    def update(self, by: int, place: int, value: int) -> None:
        if (id_ := self.some(place)) is not None:
            self.pair[by].images.where(id=id_).update(age=value)

    @rule(by=who, value=st.integers(-3, 3))
    def update_all(self, by: int, value: int) -> None:
        self.pair[by].images().update(age=value)

    @rule(by=who, place=which, label=st.sampled_from("abc"))
    def relabel(self, by: int, place: int, label: str) -> None:
        if (id_ := self.some(place)) is not None:
            self.pair[by].labels.update(id_, label)

    @rule(by=who, place=which)
    def delete(self, by: int, place: int) -> None:
        if (id_ := self.some(place)) is not None:
            self.pair[by].images.delete([id_], force=True)

    @rule(by=who)
    def undelete(self, by: int) -> None:
        graph = self.pair[by]._stores.graph
        rows = graph.read("MATCH (i:Image)-[:INVALIDATED_BY]->(:Deletion) WHERE i.digest IS NOT NULL RETURN i.id AS id")
        if rows:
            self.pair[by].images.undelete([row["id"] for row in rows])

    @rule(by=who, place=which)
    def revise(self, by: int, place: int) -> None:
        if (id_ := self.some(place)) is not None:
            self.number += 1
            pixels = np.full((3, 4), self.number % 256, np.uint8)
            self.pair[by].images[id_].revise(pixels)

    @rule(by=who, place=which)
    def derive(self, by: int, place: int) -> None:
        if (id_ := self.some(place)) is not None:
            self.number += 1
            self.pair[by].images.where(id=id_).crop((0, 0, 2, 2)).derive(f"c{self.number}", progress=False)

    @rule(by=who)
    def something_else(self, by: int) -> None:
        """What touches no image."""
        self.number += 1
        self.pair[by].views.add(f"v{self.number}", self.pair[by].images.where(age=1))

    @rule(place=which, value=st.integers(-9, -5))
    def foreign_value(self, place: int, value: int) -> None:
        if (id_ := self.some(place)) is not None:
            self.foreign("MATCH (i:Image {id: $id}) SET i.age = $value", id=id_, value=value)

    @rule(place=which)
    def foreign_names(self, place: int) -> None:
        """Names that are new are counted by the engines too, in transactions of their own."""
        if (id_ := self.some(place)) is not None:
            self.number += 1
            new = {f"x{self.number}": 1, f"y{self.number}": 2, "age": 77}
            self.foreign("MATCH (i:Image {id: $id}) SET i += $new", id=id_, new=new)

    @rule(place=which)
    def foreign_delete(self, place: int) -> None:
        if (id_ := self.some(place)) is not None:
            self.foreign(
                "MATCH (i:Image {id: $id}) WHERE NOT (i)<-[:DERIVED_FROM|REVISION_OF|HAS_ROOT]-() "
                "AND NOT (i)-[:REVISION_OF]->() DETACH DELETE i",
                id=id_,
            )

    @rule(by=who)
    def reopen(self, by: int) -> None:
        """A new process, which knows the files alone."""
        self.pair[by].close()
        self.pair[by] = self.open()

    @rule(by=who, names=st.sets(st.sampled_from(NAMES), min_size=1))
    def read(self, by: int, names: set[str]) -> None:
        stores = self.pair[by]._stores
        wanted = sorted(names)
        values = ", ".join(f"i.{name} AS {name}" for name in wanted)
        expected = stores.graph.read(
            f"MATCH (i:Image) WHERE i.deleted IS NULL RETURN i.key AS key, {values} ORDER BY key"
        )
        assert stores.columns.images(wanted).to_pylist() == expected

    @rule(by=who)
    def read_origins(self, by: int) -> None:
        stores = self.pair[by]._stores
        assert stores.columns.roots().to_pydict() == read_roots(stores.graph).to_pydict()
        assert stores.columns.deleted().tolist() == read_deleted(stores.graph).column("key").to_pylist()

    def teardown(self) -> None:
        for by in (0, 1):
            self.read(by, {*NAMES})
            self.read_origins(by)
            self.pair[by].close()


def test_columns_are_what_the_graph_says_whoever_writes(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writers, "address", address, raising=False)
    with _kept(address):
        run_state_machine_as_test(
            Writers,
            settings=settings(
                max_examples=share(20),
                stateful_step_count=STEPS,
                phases=(Phase.generate,),  # a shorter case is not worth the minutes that an engine takes
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


@contextmanager
def _kept(address: Address) -> Iterator[None]:
    """Its engine runs all the time."""
    stores = Stores.open(address)
    yield
    stores.close()
