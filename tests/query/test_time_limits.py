"""An answer that takes too long, and one whose asker is interrupted: nothing is left running at either engine."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

import neo4j
import neo4j.exceptions
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.deadline import deadline, remaining
from odin_graph.errors import QueryError, TimeLimitError
from odin_graph.graph.stopping import opened
from odin_graph.objects.query.query import Query
from odin_graph.query.plan.plan import AllImages, Plan
from odin_graph.stores import Stores
from tests.kept import kept

from .worlds import build

LONG = """UNWIND range(1, 30000) AS a UNWIND range(1, 30000) AS b WITH a, b WHERE a * b % 7919 = 3
WITH count(*) AS n MATCH (i:Image) RETURN i"""
"""Minutes of it."""

ASKER = """
import pickle, sys
address, said, cypher = pickle.load(sys.stdin.buffer)
import odin_graph as og
from odin_graph.stores import Stores
stores = Stores.open(address, create=False)
print("asked", flush=True)
stores.graph.user_read(cypher, {})
"""


def running(stores: Stores) -> list[str]:
    """What the engine says runs, beside the question itself."""
    try:
        rows = stores.graph.read("SHOW TRANSACTIONS YIELD currentQuery")
    except og.QueryError as error:  # it looked at a transaction that was just being ended
        if "terminated" not in str(error):
            raise
        return [str(error)]
    return [row["currentQuery"] for row in rows if row["currentQuery"] and "range(1, 30000)" in row["currentQuery"]]


def until(said: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not said():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@kept
def filled(stores: Stores) -> Stores:
    build(stores, Random(3))
    return stores


@pytest.fixture
def images(filled: Stores) -> Query:
    return Query(filled.address, Plan(AllImages()))


def test_a_statement_that_takes_too_long_is_stopped_at_the_engine(db: og.Workspace) -> None:
    slow = db.images(cypher=LONG)
    for ask in (slow.count, slow.run, slow.keys, slow.to_arrow, slow.to_pandas, slow.explain):
        given = {"run": True} if ask == slow.explain else {}
        with pytest.raises(TimeLimitError, match=r"longer than 0\.5 s: narrow the query"):
            ask(timeout=0.5, **given)  # type: ignore[operator]
        assert until(lambda: not running(db._stores))


def test_the_time_of_one_question_is_not_that_of_the_next(images: Query) -> None:
    with pytest.raises(TimeLimitError):
        images.count(timeout=1e-9)
    assert images.count(timeout=60) == len(images.keys()) == images.count()


def test_of_two_limits_the_nearer_holds() -> None:
    with deadline(60), deadline(1000):
        left = remaining()
        assert left is not None
        assert left <= 60
    assert remaining() is None


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), True, "2"])
def test_a_limit_is_a_time(images: Query, seconds: float) -> None:
    with pytest.raises(QueryError, match="timeout= takes seconds"):
        images.count(timeout=seconds)


@pytest.mark.parametrize("write", [False, True])
def test_a_limit_of_cypher_is_one_too(db: og.Workspace, write: bool) -> None:
    for seconds in (0, float("nan"), "2"):
        with pytest.raises(QueryError, match="timeout= takes seconds"):
            db.cypher("RETURN 1", write=write, timeout=seconds)  # type: ignore[arg-type]


def test_a_thread_is_stopped_and_its_neighbor_is_not(db: og.Workspace) -> None:
    """Two of one process, with the same statement: each has its own connection, and that alone is terminated."""
    graph = db._stores.graph
    failed: dict[str, Exception] = {}

    def ask(name: str, seconds: float) -> None:
        try:
            graph.user_read(LONG, {}, timeout=seconds)
        except og.OdinError as error:
            failed[name] = error

    short, long = (threading.Thread(target=ask, args=of) for of in (("short", 1.0), ("long", 20.0)))
    long.start()
    short.start()
    short.join(15)
    assert set(failed) == {"short"}
    assert len(running(db._stores)) == 1
    with graph.driver().session(database=graph.database) as session:
        rows = session.run("SHOW TRANSACTIONS").data()
        ids = [row["transactionId"] for row in rows if "range(1, 30000)" in (row["currentQuery"] or "")]
        session.run("TERMINATE TRANSACTIONS $ids", ids=ids).consume()
    long.join(30)
    assert isinstance(failed["long"], og.OdinError)
    assert not isinstance(failed["long"], TimeLimitError)


def test_a_late_stop_does_not_end_what_comes_next_over_the_connection(db: og.Workspace) -> None:
    """The time was over just as the answer came: by the time the engine lists what runs, it is the next statement."""
    graph = db._stores.graph
    next_runs, stopping = threading.Event(), threading.Event()

    def late() -> neo4j.Session:
        stopping.set()
        assert next_runs.wait(20)
        return graph.driver().session(database=graph.database)

    with graph.driver().session(database=graph.database) as session:
        before = set(threading.enumerate())
        with suppress(TimeLimitError, neo4j.exceptions.Neo4jError), opened(session, late, 0.2) as tx:
            tx.run("RETURN 1").consume()
            assert stopping.wait(20)
        with opened(session, late, None) as tx:
            tx.run("RETURN 1").consume()
            next_runs.set()
            for thread in set(threading.enumerate()) - before:
                thread.join(20)
            assert tx.run("RETURN 2 AS n").data() == [{"n": 2}]


def test_a_time_that_is_over_at_any_moment_is_said_or_the_answer_is_there(db: og.Workspace) -> None:
    """Before the statement runs, while it does, with its last row and at the commit."""
    graph, random = db._stores.graph, Random(7)
    said = 0
    for n in range(120):
        cypher = f"UNWIND range(1, 40000) AS a WITH a WHERE a % {n + 7} = 3 RETURN count(*) AS n"
        try:
            (row,) = graph.user_read(cypher, {}, timeout=random.uniform(0.001, 0.06))
        except TimeLimitError:
            said += 1
        else:
            assert row["n"] == sum(a % (n + 7) == 3 for a in range(1, 40001))
    assert said


def test_ctrl_c_leaves_nothing_running(stores: Stores) -> None:
    with subprocess.Popen([sys.executable, "-c", ASKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asker:
        assert asker.stdin is not None
        assert asker.stdout is not None
        held = stores.address
        state = {name: getattr(held, name) for name in held.__slots__}  # with the password, which no pickle holds
        asker.stdin.write(pickle.dumps((_Opened(state), "", LONG)))
        asker.stdin.close()
        assert asker.stdout.readline() == b"asked\n"
        assert until(lambda: len(running(stores)) == 1)
        asker.send_signal(signal.SIGINT)
        assert asker.wait(20) != 0
        assert not running(stores)


class _Opened:
    """An address that travels with its password."""

    def __init__(self, state: dict[str, str | None]) -> None:
        self.state = state

    def __reduce__(self) -> tuple[type[og.address.Address], tuple[str | None, ...]]:
        return og.address.Address, tuple(self.state.values())


def test_batches_are_of_one_moment_and_in_order(images: Query, stores: Stores) -> None:
    query = images.where(F("age") > 0).order_by(F("age").desc())
    whole = query.to_arrow("id", "age")
    batches = query.to_batches("id", "age", batch_size=7)
    first = next(batches)
    key = int(whole.column("key")[-1].as_py())
    held = stores.graph.endpoint
    with neo4j.GraphDatabase.driver(held.address, auth=(held.user, held.password)) as foreign:
        foreign.execute_query(
            "MATCH (i:Image {key: $key}) SET i.age = $age", key=key, age=2**62, database_=held.database
        )
    parts = [first, *batches]
    assert [part.num_rows for part in parts[:-1]] == [7] * (len(parts) - 1)
    assert [row for part in parts for row in part.to_pylist()] == whole.to_pylist()
    assert query.to_arrow("id", "age").column("key")[0].as_py() == key


def test_no_rows_are_one_batch_with_the_columns(images: Query) -> None:
    (only,) = images.where(F("age") == 2**62).to_batches("id", "age", batch_size=5)
    assert (only.num_rows, only.schema.names) == (0, ["key", "id", "age"])
    with pytest.raises(QueryError, match="to_batches"):
        next(images.to_batches(batch_size=0))


def test_a_field_that_another_client_has_just_made_can_be_asked_for(images: Query, stores: Stores) -> None:
    """Steps are checked against the last state that was seen, and where they do not fit against the present one."""
    assert images.where(F("age") > 0).count()
    with pytest.raises(og.UnknownNameError) as caught:
        images.where(F("weight") > 3)
    assert caught.value.__notes__ == ['\n    images().where(F("weight") > 3)\n                   ^^^^^^^^^^^']
    other = Stores.open(stores.address, create=False)
    try:
        Query(other.address, Plan(AllImages()))
        key = int(images.keys()[0])
        from odin_graph.catalog.records.updates import update_metadata

        update_metadata(other, "Image", [key], {"weight": [4.5]})
    finally:
        other.close()
    stores.keep()
    assert images.where(F("weight") > 3).keys().tolist() == [key]


def test_the_step_is_drawn_and_the_place_marked(images: Query) -> None:
    with pytest.raises(og.errors.ExpressionError) as caught:
        images.order_by(F("age")).where((F("eye") == "left") & (F("age") > "old"))
    (note,) = caught.value.__notes__
    drawing, mark = note.strip("\n").splitlines()
    assert drawing.strip() == 'images().order_by(F("age")).where((F("eye") == \'left\') & (F("age") > \'old\'))'
    assert drawing[mark.index("^") : mark.rindex("^") + 1] == "F(\"age\") > 'old'"
