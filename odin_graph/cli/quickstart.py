"""`odin quickstart`: the main job on real images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    data: Annotated[
        Path | None, typer.Option(help="A folder of class folders with your own images, or a manifest of them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the pictures and the workspace go.")] = Path("quickstart-out"),
    graph: Annotated[
        str | None,
        typer.Option(help="A Neo4j server, neo4j://host; ODIN_GRAPH_USER and ODIN_GRAPH_PASSWORD log in."),
    ] = None,
    arrays: Annotated[
        str | None, typer.Option(help="Where pixels go: a folder, or s3://bucket/prefix; by default into --out.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="What is not torn apart: a column of the manifest (the patient), or 'folder'."),
    ] = None,
) -> None:
    """Store images, train two small models, and draw the representative images that the worse one gets wrong."""
    from odin_graph.quickstart import main

    main(data, out, graph, group, arrays)
