"""`python -m odin_graph.cli` is `odin`."""

from odin_graph.cli.app import main

main()
