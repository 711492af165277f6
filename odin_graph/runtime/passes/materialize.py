"""Store the outputs of units of layers for images: one pass for all layers, then a segment of columns each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray

from odin_graph.catalog.activations.activations import Growth, LayerRef
from odin_graph.catalog.activations.storage import keep_to_budget
from odin_graph.catalog.activations.unit_sets import UnitGrowth, UnitRef, link, unit_set_of
from odin_graph.catalog.models.checkpoints import checkpoint_of
from odin_graph.catalog.models.models import model_of
from odin_graph.errors import QueryError
from odin_graph.graph import is_read_only
from odin_graph.progress import progress_bar
from odin_graph.runtime.layers.hooks import CALL
from odin_graph.runtime.layers.layers import LayerRow
from odin_graph.runtime.layers.unit_pooling import shape_by, units_of_shape
from odin_graph.runtime.models.determinism import SAMPLE
from odin_graph.runtime.models.loaded import Wanted, alone
from odin_graph.runtime.models.model import Runnable, layers_of
from odin_graph.runtime.models.subnetwork import layer_digests
from odin_graph.runtime.passes.embed import check_layer
from odin_graph.runtime.passes.spill import forget, sweep
from odin_graph.runtime.passes.unit_pass import Part, noise_of, sample_of, shapes_of
from odin_graph.runtime.passes.unit_plan import POSITIONS, UnitPlan, Want, array_of, plan_of
from odin_graph.runtime.passes.unit_writer import Beside, Target, UnitWriter, spill_folder
from odin_graph.stores import Stores

Keys = NDArray[np.int64]


def unit_ref(stores: Stores, checkpoint: str, want: Want, autocast: torch.dtype | None = None) -> UnitRef:
    """The set for what is wanted of a checkpoint, whether it is stored or not.

    Raises:
        UnknownNameError: There is no such checkpoint or layer; lists those there are.
        QueryError: The layer runs several times, or not at all.
    """
    check_layer(stores, LayerRef(checkpoint, want.layer))
    digests = layer_digests(stores, checkpoint)
    if want.layer not in digests:
        raise QueryError(f"The layer {want.layer!r} of {checkpoint!r} gives no tensor when it runs: choose another.")
    precise = (
        digests[want.layer] if autocast is None else f"{str(autocast).removeprefix('torch.')}-{digests[want.layer]}"
    )
    return UnitRef(precise, want.pooling, want.codec)


def plan_units(
    stores: Stores,
    checkpoint: str,
    wants: Sequence[Want],
    keys: Keys,
    *,
    rows: Sequence[LayerRef] = (),
    autocast: torch.dtype | None = None,
    positions: int = POSITIONS,
) -> UnitPlan:
    """What `materialize` with these arguments will take; nothing is run, where the model has an input shape."""
    targets = _targets(stores, checkpoint, wants, rows, autocast)
    table = {row.name: row for row in layers_of(model_of(stores, checkpoint_of(stores, checkpoint).model or ""))}
    widths = {part: _width(part, _row(table, part.layer)) for part in {target.part for target in targets}}
    if any(width is None for width in widths.values()):  # the shapes are not known before it has run
        runnable = Runnable.load(stores, checkpoint, batch=1)
        shapes = shapes_of(runnable, list(widths), sample_of(stores, runnable, np.asarray(keys, np.int64), 1))
        widths = {part: units_of_shape(shapes[part]) for part in widths}
    return plan_of(stores, [(target.ref, widths[target.part] or 0) for target in targets], keys, positions)


def materialize(
    stores: Stores,
    checkpoint: str,
    wants: Sequence[Want],
    keys: Keys,
    *,
    rows: Sequence[LayerRef] = (),
    device: str | torch.device | None = None,
    batch: int | None = None,
    autocast: torch.dtype | None = None,
    progress: bool = True,
    positions: int = POSITIONS,
    beside: Callable[[Keys, int], Beside] | None = None,
    spare: Sequence[str] = (),
) -> list[str]:
    """Store what units say of images; only what is missing is computed, in one pass for all layers.

    A finished segment holds up to ``positions`` images and stays, whatever happens later; an interrupted call, made
    again, goes on with the image after.

    Args:
        stores: The open workspace.
        checkpoint: The checkpoint's id.
        wants: Layers, poolings and codecs.
        keys: The images, in any order; a key may come twice.
        rows: Embeddings to store out of the same pass, of this checkpoint.
        device: Where to run; by default an accelerator, else the CPU.
        batch: Images at once; by default as many as fit.
        autocast: Half precision; sets of another precision are other sets.
        progress: Show a progress bar, if anything is missing.
        positions: Images of a segment at most.
        spare: Ids of further sets that are not dropped to make room.
        beside: Given a segment's sorted keys and its number of units: what sees these on their way.

    Returns:
        The ids of the sets, in the order of ``wants`` and then ``rows``.

    Raises:
        UnknownNameError: There is no such checkpoint, layer or pooling.
        ModelError: Its forward pass is not deterministic; says why, where that can be told.
        ShapeError: The model refuses the images, or they give different numbers of units.
        SpaceError: It takes more disk than there is, or than the budget leaves; nothing was run.

    Warns:
        NotFiniteWarning: A layer says NaN or infinity.
    """
    targets = _targets(stores, checkpoint, wants, rows, autocast)
    wanted = np.unique(np.asarray(keys, np.int64))
    ids = [target.ref.set_id for target in targets]
    if all(_is_ready(stores, target, checkpoint, wanted) for target in targets):
        return ids
    with ExitStack() as stack:
        runnable = stack.enter_context(alone(Wanted(stores, checkpoint, device, autocast, batch)))
        parts = list(dict.fromkeys(target.part for target in targets))
        absent = _absent(targets, [array_of(stores, target.ref).missing(wanted) for target in targets], wanted)
        if not len(absent):
            absent = wanted
        sample = sample_of(stores, runnable, absent, min(SAMPLE, max(4, len(absent) // 64)))
        shapes = shapes_of(runnable, parts, sample[:1])
        noise = noise_of(runnable, parts, sample, shapes)
        sized = [(target.ref, units_of_shape(shapes[target.part])) for target in targets]
        sweep(spill_folder(stores))
        if not plan_of(stores, sized, wanted, positions).fits:
            sweep(spill_folder(stores), all_unused=True)
        plan = plan_of(stores, sized, wanted, positions)
        plan.check()
        keep_to_budget(stores, plan.stored, spare=[*ids, *spare])
        writer = UnitWriter(stores, runnable, parts, shapes, noise, beside)
        growths: dict[str, UnitGrowth | Growth] = {}
        # Leases are taken in one order, so that two calls do not wait for each other.
        for target in sorted(targets, key=lambda target: target.ref.set_id):
            if target.ref.set_id not in growths:
                growths[target.ref.set_id] = stack.enter_context(writer.growing(target, checkpoint))
        by_target = {target: growths[target.ref.set_id] for target in targets}
        missing = {target: growth.missing(wanted) for target, growth in by_target.items()}
        absent = _absent(targets, list(missing.values()), wanted)
        names = ", ".join(dict.fromkeys(part.layer for part in parts))
        with progress_bar(f"units of {names}", len(absent), show=progress) as done:
            for start in range(0, len(absent), positions):
                writer.write(absent[start : start + positions], by_target, missing, done)
        forget(spill_folder(stores), {set_id: growth.missing for set_id, growth in growths.items()})
    return ids


def _targets(
    stores: Stores,
    checkpoint: str,
    wants: Sequence[Want],
    rows: Sequence[LayerRef],
    autocast: torch.dtype | None,
) -> list[Target]:
    found = [Target(Part(want.layer, want.pooling), unit_ref(stores, checkpoint, want, autocast)) for want in wants]
    for ref in rows:
        check_layer(stores, ref)
        if ref.checkpoint != checkpoint or autocast is not None:
            raise QueryError(f"Embeddings of {ref.checkpoint!r} do not come out of this pass of {checkpoint!r}.")
        found.append(Target(Part(ref.layer, ref.pooling, rows=True), ref))
    if not found:
        raise QueryError("No layer was asked for: give at least one.")
    return found


def _is_ready(stores: Stores, target: Target, checkpoint: str, keys: Keys) -> bool:
    if isinstance(target.ref, LayerRef):
        return not len(array_of(stores, target.ref).missing(keys))
    record = unit_set_of(stores, target.ref.set_id)
    if record is None or record.state != "ready" or len(array_of(stores, target.ref).missing(keys)):
        return False
    if not is_read_only():  # then it is left to a process that may write
        link(stores, target.ref.set_id, checkpoint, target.part.layer)
    return True


def _absent(targets: Sequence[Target], missing: Sequence[Keys], wanted: Keys) -> Keys:
    """The images of which some set lacks something, sorted."""
    return np.unique(np.concatenate([wanted[:0], *missing])) if targets else wanted[:0]


def _row(table: Mapping[str, LayerRow], layer: str) -> LayerRow:
    name, _, call = layer.partition(CALL)
    return table[name].of_call(int(call)) if call else table[name]


def _width(part: Part, row: LayerRow) -> int | None:
    if row.shape is None:
        return None
    if part.rows:
        return units_of_shape(row.shape if part.pooling == "flatten" else shape_by("channels-mean", row.shape))
    return units_of_shape(shape_by(part.pooling, row.shape))
