"""Requests and answers, as OpenAPI shows them; each example runs in the tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from odin_graph.query.plan.spaces import Space

Json = dict[str, Any]
Rows = list[Json]


class Body(BaseModel):
    """A request: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


Timeout = Annotated[
    float | None,
    Field(gt=0, description="Seconds after which it is given up, if the server's own limit is not nearer."),
]


class QueryRequest(Body):
    """A query in its JSON form, and which columns of its answer."""

    query: Annotated[
        Json,
        Field(
            description="What `Query.to_json()` gives; its schema is docs/query.schema.json.",
            examples=[{"odin_query": 5, "source": {"source": "images"}, "steps": [{"step": "slice", "stop": 3}]}],
        ),
    ]
    columns: Annotated[
        list[str | Json] | None,
        Field(
            description='Fields to give, or named expressions, `{"name": ..., "value": ...}` as in the query; '
            "every stored field by default, and none beside the key and what the steps added for an empty list.",
            examples=[["id", "label"]],
            max_length=1000,
        ),
    ] = None
    limit: Annotated[int, Field(ge=1, description="Rows of a page of JSON.")] = 1000
    batch: Annotated[int, Field(ge=1, le=1_000_000, description="Rows of a batch of Arrow at most.")] = 65_536
    timeout: Timeout = None
    cursor: Annotated[str | None, Field(description="Of the page before; none for the first.", max_length=500)] = None


class Page(BaseModel):
    """A page of an answer."""

    rows: Rows
    total: int
    """Rows of the whole answer."""
    cursor: str | None
    """Where the next page begins; null on the last."""


class QueryText(Body):
    """A query alone."""

    query: Annotated[Json, Field(examples=[{"odin_query": 5, "source": {"source": "images"}, "steps": []}])]
    run: Annotated[bool, Field(description="Of `explain`: run it, for actual rows and times.")] = False
    timeout: Timeout = None


class Count(BaseModel):
    """How many rows."""

    count: int


class Checked(BaseModel):
    """A query whose names were looked up."""

    query: Json


class Explained(BaseModel):
    """A physical plan, the last step first."""

    parts: list[Json]
    text: str


class CypherText(BaseModel):
    """A statement that selects the same, and its parameters."""

    text: str
    parameters: Json


class GivenExample(Body):
    """One of: a stored image by id or key, a file, pixels, a vector."""

    id: str | None = None
    key: Annotated[int | None, Field(ge=-(2**63), lt=2**63)] = None
    file: Annotated[str | None, Field(description="The bytes of an image file in base64.")] = None
    name: Annotated[
        str | None, Field(description="The name of the file; its suffix gives the format.", max_length=1000)
    ] = None
    pixels: Annotated[str | None, Field(description="(h, w, bands) as NumPy's .npy in base64.")] = None
    vector: Annotated[list[float] | None, Field(min_length=1, max_length=1_000_000)] = None


class ExamplesRequest(Body):
    """What a search is to begin with."""

    given: Annotated[list[GivenExample], Field(max_length=100_000, examples=[[{"vector": [0.5, 1.0]}]])]
    by: Annotated[Space | None, Field(examples=[{"vectors": "clip"}])] = None
    timeout: Timeout = None


class Example(BaseModel):
    """As a plan holds it."""

    image: int | None
    vector: list[float] | None


class Examples(BaseModel):
    """In the order in which they were given."""

    examples: list[Example]


class SimilarRequest(Body):
    """The neighbors of a stored image, of a vector, or of a file that is not stored."""

    image: Annotated[str | None, Field(description="The id of a stored image, or:")] = None
    vector: Annotated[list[float] | None, Field(min_length=1, max_length=1_000_000, examples=[[0.5, 1.0]])] = None
    file: Annotated[str | None, Field(description="The bytes of an image file in base64.")] = None
    by: Annotated[Space, Field(examples=[{"vectors": "clip"}])]
    k: Annotated[int, Field(ge=1, le=10_000)] = 10
    metric: Literal["cosine", "l2", "inner-product", "l1", "linf"] = "cosine"
    recall: Annotated[float | None, Field(gt=0, le=1)] = None
    weights: Annotated[
        list[float] | None, Field(description="By units: one each, none below 0.", max_length=1_000_000)
    ] = None
    query: Annotated[Json | None, Field(description="Of which images; all by default.")] = None
    columns: Annotated[list[str], Field(max_length=1000)] = ["id", "label"]
    timeout: Timeout = None


class RepresentativeRequest(Body):
    """A few images that stand for all of a query."""

    query: Annotated[Json, Field(examples=[{"odin_query": 5, "source": {"source": "images"}, "steps": []}])]
    layer: Annotated[str, Field(examples=["features"])]
    pooling: str = "mean"
    k: Annotated[int, Field(ge=1, le=1_000)] = 10
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    columns: Annotated[list[str], Field(max_length=1000)] = ["id", "label"]
    timeout: Timeout = None


class CypherRequest(Body):
    """A statement that reads, with its parameters."""

    statement: Annotated[str, Field(examples=["MATCH (i:Image) RETURN count(i) AS images"], max_length=100_000)]
    parameters: Json = {}
    timeout: Timeout = None


class Asked(Body):
    """The arguments of a function that is served, by name."""

    arguments: Annotated[Json, Field(examples=[{}])] = {}
    timeout: Timeout = None


class Answered(BaseModel):
    """What it gives, as `odin_graph.client.travel` writes it."""

    answer: Any


class ImagesRequest(Body):
    """Stored images, by key."""

    keys: Annotated[
        list[Annotated[int, Field(ge=-(2**63), lt=2**63)]], Field(min_length=1, max_length=1000, examples=[[1]])
    ]


class PixelsRequest(ImagesRequest):
    """Whose pixels, and which of them."""

    box: Annotated[list[Any] | str | None, Field(description="(left, top, right, bottom) in whole pixels.")] = None


class ThumbnailsRequest(ImagesRequest):
    """Whose pictures for looking at, and how large."""

    size: Annotated[int, Field(ge=8, le=1024, description="Of the longer side, at most.")] = 128


class Answer(BaseModel):
    """Rows."""

    rows: Rows


class Listed(BaseModel):
    """Some of the things of a kind."""

    rows: Rows
    total: int


class Problem(BaseModel):
    """What went wrong."""

    class Error(BaseModel):
        """Its kind, its sentence, and the id under which the server's log has it."""

        type: str
        message: str
        drawing: str | None
        """The query, with the place marked."""
        request_id: str

    error: Error
