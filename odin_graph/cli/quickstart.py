"""`odin quickstart`: the main job on real images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    data: Annotated[
        Path | None,
        typer.Option(help="A folder with one subfolder for each class, or a manifest, with your own images."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the pictures and the workspace.")] = Path("quickstart-out"),
    graph: Annotated[
        str | None,
        typer.Option(help="A Neo4j server, neo4j://host; ODIN_GRAPH_USER and ODIN_GRAPH_PASSWORD log in."),
    ] = None,
    arrays: Annotated[
        str | None, typer.Option(help="Where to store pixels: a folder, or s3://bucket/prefix; by default into --out.")
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(help="What stays together in the split: a column of the manifest (the patient), or 'folder'."),
    ] = None,
) -> None:
    """Store images, train two small models, and draw the representative images that the worse one gets wrong."""
    from odin_graph.quickstart import main

    main(data, out, graph, group_by, arrays)
