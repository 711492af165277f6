"""Models of other libraries, each format a file: stored as they are, and run without torch."""

from odin_graph.runtime.models.formats.format import FORMATS, Facts, Inputs, ModelFormat, Outputs

__all__ = ["FORMATS", "Facts", "Inputs", "ModelFormat", "Outputs"]
