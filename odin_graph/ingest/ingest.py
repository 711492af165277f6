"""Entries become stored images, batch by batch; what is acknowledged stays, and a repeated call continues."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from itertools import chain
from typing import Any, Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentInfo
from odin_graph.catalog.images.arrivals import stored_keys
from odin_graph.catalog.images.differing import differing
from odin_graph.catalog.images.images import AddReport, ImageBatch, OnConflict, Written, write_images
from odin_graph.catalog.images.labels import set_labels
from odin_graph.catalog.images.pixels import compact_pixels
from odin_graph.catalog.images.sources import is_rows, release
from odin_graph.catalog.images.spelling import warn_of_spelling
from odin_graph.catalog.images.stacks import add_stack, images_of
from odin_graph.catalog.records.deletion import deletion_of
from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.updates import update_metadata
from odin_graph.errors import ConflictError, DataError, LayoutWarning, OdinError, UnreadableImageError
from odin_graph.graph.writer import batches
from odin_graph.ingest.decoding import Decoded, decoded
from odin_graph.ingest.entry import Entry
from odin_graph.ingest.files import is_text, printable
from odin_graph.ingest.layout import remark_on_stack, remarks
from odin_graph.ingest.readers import Readers
from odin_graph.ingest.report import IngestReport
from odin_graph.ingest.stacking import stack_of, without_stacks
from odin_graph.ingest.table import EntryTable
from odin_graph.progress import progress_bar
from odin_graph.schema.kinds import undeleted
from odin_graph.schema.metadata import plain
from odin_graph.stores import Stores
from odin_graph.warned import warn

OnError: TypeAlias = Literal["raise", "skip"]
BATCH: Final = 5_000
"""Images a transaction, unless their pixels reach the other limit before. More keep the engine waiting for the first
batch, and its memory full of the rows of a statement."""
_FIRST: Final = 1_250
"""Images in the first transaction; each one that follows has twice as many, up to the limit."""
BATCH_BYTES: Final = 128 << 20
_SHARE: Final = 32
"""Share of the budget's memory for a batch, which is copied on its way while the next one is read."""


def ingest(
    stores: Stores,
    entries: Sequence[Entry],
    *,
    labels: Sequence[str] = ("Image",),
    on_error: OnError = "raise",
    on_conflict: OnConflict = "error",
    keep_originals: bool = False,
    batch_size: int = BATCH,
    notes: Sequence[str] = (),
    progress: bool = True,
) -> IngestReport:
    """Read and store entries.

    Args:
        stores: The open workspace.
        entries: What to store.
        labels: Of the nodes.
        on_error: ``"raise"`` stops at the first image that cannot be read, ``"skip"`` leaves it out and reports it.
            Batches that were stored before it stand either way.
        on_conflict: For ids that are there with other pixels; see `add_images`.
        keep_originals: Store the encoded bytes of files as well.
        batch_size: Images a transaction at most.
        notes: What the report is to say besides.
        progress: Show a bar.

    Raises:
        UnreadableImageError: Names the file and the reason.
        ConflictError: An id is there with other pixels, or twice in what was given.
    """
    _check_call(entries, on_error, batch_size)
    # All metadata must fit together before any of it is stored.
    types = NewValues.of("Image", _given(entries), own=("label",)).types
    given, (entries, stacked) = entries, without_stacks(entries)
    report = IngestReport(notes=list(notes))
    doubted = False
    if isinstance(entries, EntryTable) and (doubt := remark_on_stack(getattr(entries.images, "shape", ()))):
        doubted = _remark(report, [doubt])
    with progress_bar("add images", len(entries), show=progress) as advance:
        most_bytes = min(BATCH_BYTES, stores.budget.memory // _SHARE)
        are_new = not stores.graph.read("MATCH (i:Image) RETURN i.key AS key LIMIT 1")
        read = _read(stores, entries, keep_originals, are_new=are_new)
        with _Naming() as naming:
            for batch in _ahead(_batched(read, report, on_error, batch_size, most_bytes)):
                good = [item for item in batch if not item.known]
                existing = [item for item in batch if item.known]
                if not doubted:  # once is enough
                    doubted = _remark(
                        report, remarks((item.entry.id, item.pixels) for item in good if item.entry.path is None)
                    )
                keys = stored_keys(stores, [item.entry.id for item in existing])
                finish = partial(_finish, stores, report, batch, keys, on_conflict, advance)
                if not good:
                    naming.wait()
                    finish(None)
                    continue
                try:
                    written = write_images(
                        stores,
                        _batch_of(good, keep_originals),
                        on_conflict,
                        labels=labels,
                        known=types,
                        are_new=are_new,
                    )
                except UnreadableImageError as error:  # of a huge image, which is a batch by itself
                    if on_error == "raise" or len(good) > 1:
                        raise
                    report.errors.append((good[0].entry.id, str(error)))
                    continue
                release(getattr(entries, "images", None))
                naming.put(written, finish)
            compact_pixels(stores, naming.segments, naming.wait)
    for items in stacked:
        _store_stack(stores, items, report, labels, on_error, on_conflict, keep_originals, progress)
    report.notes += warn_of_spelling(stores, _given(given)["label"])
    return report


def _store_stack(
    stores: Stores,
    items: Sequence[Entry],
    report: IngestReport,
    labels: Sequence[str],
    on_error: OnError,
    on_conflict: OnConflict,
    keep_originals: bool,
    progress: bool,
) -> None:
    """Store the frames of a file or series as a volume or a video, whole or not at all."""
    thing = items[0].part.thing if items[0].part else items[0].id
    try:
        if keep_originals:
            raise UnreadableImageError(
                f"{printable(thing)}: files of volumes and videos are not kept: leave out keep_originals"
            )
        stack = stack_of(Readers.installed(), items, stores.budget, labels)
    except DataError as error:
        if on_error == "raise":
            raise _with_remedy(error) from error
        report.errors.append((printable(thing), str(error)))
        return
    try:
        added = add_stack(stores, stack, progress=progress)
    except ConflictError:
        if on_conflict != "skip":
            raise
        left = report.others if deletion_of(stores, stack.kind, stack.id) is None else report.deleted
        left.append(stack.id)
        return
    report.stacks.append(stack.id)
    report.keys += [row["key"] for row in images_of(stores, stack.kind, stack.id)]
    report.added += added
    report.already_there += len(items) - added
    if added < len(items):
        keys = stored_keys(stores, [item.id for item in items])
        existing = [Decoded(item) for item in items if item.id in keys]
        _compare(stores, report, existing, np.array([keys[item.entry.id] for item in existing]), on_conflict)


class _Naming:
    """Has a thread name a batch in the graph, while the next one is read and its pixels are stored.

    Batches are named one after the other. Where one fails, the pixels of the next are removed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="odin-ingest-graph")
        self._named: tuple[Future[AddReport], Callable[[AddReport], None]] | None = None
        self.segments: Sequence[SegmentInfo] = ()
        """Of the batch that was put last."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._thread:
            self.wait()

    def put(self, written: Written, finish: Callable[[AddReport], None]) -> None:
        """Name a batch as soon as the one before is named; `finish` is called here, when it is."""
        try:
            self.wait()
        except BaseException:
            with suppress(OdinError):  # what cannot be removed now is left to `odin gc`
                written.discard()
            raise
        self.segments = written.segments
        self._named = self._thread.submit(copy_context().run, written.name), finish

    def wait(self) -> None:
        """Wait until all are named that were put."""
        if self._named is not None:
            (future, finish), self._named = self._named, None
            finish(future.result())


def _finish(
    stores: Stores,
    report: IngestReport,
    batch: Sequence[Decoded],
    keys: dict[str, int],
    on_conflict: OnConflict,
    advance: Callable[[int], None],
    result: AddReport | None,
) -> None:
    """Report a batch, of which what was not known was stored with this result."""
    existing = [item for item in batch if item.known]
    report.already_there += len(existing)
    if result is not None:
        existing += _count(report, [item for item in batch if not item.known], result, keys)
    if existing:
        _compare(stores, report, existing, np.array([keys[item.entry.id] for item in existing]), on_conflict)
    report.keys += [keys[item.entry.id] for item in batch if item.entry.id in keys]
    advance(len(batch))


def _count(report: IngestReport, items: Sequence[Decoded], result: AddReport, keys: dict[str, int]) -> list[Decoded]:
    """Add the result of a batch to the report, and the keys of what is stored; return what may have been there."""
    left = {*result.others, *result.deleted}
    report.added += result.added
    report.already_there += result.skipped - len(left)
    report.revised += result.revised
    report.others += [items[place].entry.id for place in result.others]
    report.deleted += [items[place].entry.id for place in result.deleted]
    kept = [place for place in range(len(items)) if place not in left]
    keys |= zip([items[place].entry.id for place in kept], result.keys[kept].tolist(), strict=True)
    return [] if result.skipped == len(left) else [items[place] for place in kept]


def _compare(
    stores: Stores, report: IngestReport, items: Sequence[Decoded], keys: NDArray[np.int64], on_conflict: OnConflict
) -> None:
    """Report existing images that have another label or other metadata, or update them."""
    columns = _columns(items)
    places = differing(stores, keys, columns)
    if on_conflict != "update" or not places:
        report.differing += [items[place].entry.id for place in places]
        return
    some = {name: [values[place] for place in places] for name, values in columns.items()}
    labeled = [n for n, label in enumerate(some.pop("label")) if plain(label) is not None]
    if labeled:
        new = [columns["label"][places[n]] for n in labeled]
        set_labels(stores, keys[places][labeled], new, why="add(on_conflict='update')")
    update_metadata(stores, "Image", keys[places].tolist(), some)
    report.updated += len(places)


def _read(stores: Stores, entries: Sequence[Entry], keep_originals: bool, *, are_new: bool) -> Iterator[Decoded]:
    for part in batches(entries, BATCH):
        known: dict[str, str] = {}
        files = [entry.id for entry in part if entry.path is not None and is_text(entry.id)]
        if files and not are_new:
            rows = stores.graph.read(
                f"UNWIND $ids AS id MATCH (i:Image {{id: id}}) WHERE i.file_digest IS NOT NULL AND {undeleted('i')} "
                "RETURN i.id AS id, i.file_digest AS digest",
                {"ids": files},
            )
            known = {row["id"]: row["digest"] for row in rows}
        yield from decoded(part, known, budget=stores.budget, keep_data=keep_originals)


def _ahead(batches: Generator[list[Decoded], None, None]) -> Iterator[list[Decoded]]:
    """Each batch, while a thread decodes the next one: storing waits for the engine most of the time."""
    with ThreadPoolExecutor(1, thread_name_prefix="odin-ingest-ahead") as thread:
        following = thread.submit(next, batches, None)
        try:
            while (batch := following.result()) is not None:
                following = thread.submit(next, batches, None)
                yield batch
                del batch
        finally:
            wait([following])
            batches.close()


def _batched(
    items: Iterator[Decoded], report: IngestReport, on_error: OnError, most: int, most_bytes: int
) -> Generator[list[Decoded], None, None]:
    batch: list[Decoded] = []
    size = 0
    full = min(most, _FIRST)
    for item in items:
        if item.error is not None:
            if on_error == "raise":
                raise _with_remedy(item.error) from item.error
            report.errors.append((printable(item.entry.id), str(item.error)))
            continue
        if is_rows(item.pixels):  # it is read again while it is stored: if that fails, it fails alone
            if batch:
                yield batch
                batch, size = [], 0
            yield [item]
            continue
        batch.append(item)
        size += _memory_of(item)
        if len(batch) >= full or size >= most_bytes:
            yield batch
            batch, size, full = [], 0, min(most, 2 * full)
    if batch:
        yield batch


def _with_remedy(error: OdinError) -> OdinError:
    remedy = 'Mend it or take it away, or leave such images out and have them listed: on_error="skip".'
    return type(error)(f"{str(error).rstrip('.')}. {remedy}")


def _memory_of(item: Decoded) -> int:
    """Bytes of memory that an item takes: pixels that are read by rows take none."""
    return (item.pixels.nbytes if isinstance(item.pixels, np.ndarray) else 0) + len(item.data or b"")


def _remark(report: IngestReport, doubts: Iterable[str]) -> bool:
    """Warn of doubts, and add them to the notes; return whether there are any."""
    found = list(doubts)
    for doubt in found:
        report.notes.append(doubt)
        warn(doubt, LayoutWarning)
    return bool(found)


def _given(entries: Sequence[Entry]) -> Mapping[str, Sequence[Any]]:
    """Labels and metadata of entries, by name."""
    if isinstance(entries, EntryTable):
        return {"label": entries.labels, **entries.metadata}
    names = dict.fromkeys(chain.from_iterable(entry.metadata for entry in entries))
    columns = {name: [entry.metadata.get(name) for entry in entries] for name in names}
    return {"label": [entry.label for entry in entries], **columns}


def _columns(items: Sequence[Decoded]) -> dict[str, Sequence[Any]]:
    return dict(_given([item.entry for item in items]))


def _batch_of(items: Sequence[Decoded], keep_originals: bool) -> ImageBatch:
    columns = _columns(items)
    pixels: list[Any] = [item.pixels for item in items]
    return ImageBatch(
        ids=[item.entry.id for item in items],
        pixels=pixels,
        labels=columns.pop("label"),
        metadata=columns,
        paths=[item.entry.path for item in items],
        file_digests=[item.file_digest for item in items],
        digests=[item.digest for item in items],
        originals=[item.data for item in items] if keep_originals else None,
    )


def _check_call(entries: Sequence[Entry], on_error: OnError, batch_size: int) -> None:
    if on_error not in ("raise", "skip"):
        raise DataError(f'on_error={on_error!r} is not known: give "raise" or "skip".')
    if batch_size < 1:
        raise DataError(f"batch_size={batch_size} is not known: give 1 or more.")
    _refuse_twins(entries)


def _refuse_twins(entries: Sequence[Entry]) -> None:
    seen: set[str] = set()
    for id_ in entries.ids if isinstance(entries, EntryTable) else (entry.id for entry in entries):
        if id_ in seen:
            raise ConflictError(f"Two images of the call have the id {id_!r}: give each its own.")
        seen.add(id_)
