"""Images as a data set of Hugging Face's `datasets`, written batch by batch."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image as PillowImage

from odin_graph.errors import DataError, MissingExtraError, OdinError, ShapeError
from odin_graph.objects.query.pixels_out import Batch

if TYPE_CHECKING:
    import datasets

_PICTURE_BANDS = (1, 3)


def huggingface_of(source: Callable[[], Iterable[Batch]], table: pa.Table) -> datasets.Dataset:
    """The data set; see `Training.to_huggingface`.

    Args:
        source: Gives the batches.
        table: ``key``, ``id``, ``label`` and further fields, in their order.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            'to_huggingface() needs the package datasets: pip install "odin-graph[huggingface]".'
        ) from error
    if not table.num_rows:
        raise DataError("The query selects no images, so there is no data set to make.")
    first = next(iter(source())).images[0]
    picture = _is_picture(first)
    features: dict[str, Any] = {"image": datasets.Image() if picture else _array(datasets, first)}
    fields = [name for name in table.column_names if name != "key"]
    for name in fields:
        features[name] = _feature(datasets, name, table.column(name))

    def rows() -> Iterator[dict[str, Any]]:
        place = 0
        for batch in source():
            part = table.slice(place, len(batch)).select(fields).to_pylist()
            place += len(batch)
            for row, pixels in zip(part, batch.images, strict=True):
                yield {"image": _encoded(row["id"], pixels, first, picture), **row}

    try:
        dataset = datasets.Dataset.from_generator(_Named(rows), features=datasets.Features(features))
    except Exception as error:  # its error says that something failed, its cause says what
        if isinstance(error.__cause__, OdinError):
            raise error.__cause__ from None
        raise
    assert isinstance(dataset, datasets.Dataset)
    return dataset


def _is_picture(pixels: NDArray[Any]) -> bool:
    return pixels.dtype == np.uint8 and pixels.shape[-1] in _PICTURE_BANDS


def _array(hub: Any, pixels: NDArray[Any]) -> Any:
    if pixels.dtype.kind not in "uif":
        raise ShapeError(f"Images of {pixels.dtype} are no feature there: convert them, as in query.to_float().")
    return hub.Array3D(shape=pixels.shape, dtype=str(pixels.dtype))


def _encoded(id_: str, pixels: NDArray[Any], first: NDArray[Any], picture: bool) -> Any:
    if picture:
        if not _is_picture(pixels):
            raise ShapeError(
                f"The image {id_!r} is {pixels.dtype} of shape {pixels.shape}, and the first is an 8-bit picture: "
                "bring them to one kind with an operation (to_rgb, to_float), or take them from query.batches()."
            )
        buffer = io.BytesIO()
        PillowImage.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}
    if (pixels.shape, pixels.dtype) != (first.shape, first.dtype):
        raise ShapeError(
            f"The image {id_!r} is {pixels.dtype} of shape {pixels.shape}, and the first is {first.dtype} of shape "
            f"{first.shape}: bring them to one shape with an operation (resize, crop), or take query.batches()."
        )
    return pixels


def _feature(hub: Any, name: str, column: pa.ChunkedArray) -> Any:
    if name == "label" and pa.types.is_string(column.type):
        return hub.ClassLabel(names=sorted(set(column.drop_null().to_pylist())))
    return hub.features.features.generate_from_arrow_type(column.type)


class _Named:
    """Rows for `datasets`, which would name its cache by the digest of their generator: this has a name of its own.

    The generator has connections, which cannot be hashed; and the query may select other images tomorrow.
    """

    def __init__(self, rows: Callable[[], Iterator[dict[str, Any]]]) -> None:
        self._rows = rows
        self._name = uuid.uuid4().hex

    def __call__(self) -> Iterator[dict[str, Any]]:
        return self._rows()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (self._name,)
