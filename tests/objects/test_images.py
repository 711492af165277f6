"""`db.images(...)`: what is a source of a query, and what is not."""

from __future__ import annotations

from random import Random

import pytest

from odin_graph.errors import DataError, QueryError, UnknownNameError
from odin_graph.objects.dataset import Dataset
from odin_graph.objects.images import Images
from odin_graph.stores import Stores
from tests.query.worlds import build


def test_sources(stores: Stores) -> None:
    world = build(stores, Random(5))
    images = Images(stores)
    members = [stores.columns.images(["id"]).column("id").to_pylist()[key - 1] for key in world.keys[:3]]
    assert len(images()) == len(images) == 40
    assert images("test").plan == images("test@1").plan == images(Dataset(stores, "test@1")).plan
    assert images("test").keys().tolist() == world.keys
    assert images(members[::-1]).keys().tolist() == world.keys[2::-1]  # the order that was given
    assert images([images[members[0]]]).keys().tolist() == world.keys[:1]
    assert images(images("test")[:2]).keys().tolist() == world.keys[:2]
    assert images(cypher="MATCH (i:Image {key: $key}) RETURN i", key=world.keys[0]).keys().tolist() == world.keys[:1]
    image = images[members[0]]
    assert (image.id, image.key, image.shape) == (members[0], world.keys[0], (1, 1, 1))
    assert image.pixels.tolist() == [[[int(image.id.rpartition("/")[2])]]]


def test_what_is_no_source_says_why(stores: Stores) -> None:
    build(stores, Random(5))
    images = Images(stores)
    with pytest.raises(UnknownNameError, match=r"There is no data set 'tset'\. Did you mean 'test'\?"):
        images("tset")
    with pytest.raises(UnknownNameError, match="There is no image 'nowhere'"):
        images["nowhere"]
    with pytest.raises(DataError, match="1 ids are of no image, first 'nowhere'"):
        images(["nowhere"])
    with pytest.raises(QueryError, match="a data set or cypher=, not both"):
        images("test", cypher="MATCH (i:Image) RETURN i")
    with pytest.raises(QueryError, match=r"images\(\) knows no age: parameters are for cypher="):
        images(age=60)
    with pytest.raises(QueryError, match=r"images\(cypher=\.\.\.\) takes a statement, not ' '"):
        images(cypher=" ")
    with pytest.raises(QueryError, match=r"The parameter \$ages cannot travel in a query"):
        images(cypher="MATCH (i:Image) RETURN i", ages={"a": 1})
    with pytest.raises(QueryError, match="takes a data set, its id, or a list of images, not 3"):
        images(3)
