"""Image operations: frozen dataclasses by name, recorded with their parameters."""

from odin_graph.ops.center_crop import CenterCrop
from odin_graph.ops.normalise import Normalise
from odin_graph.ops.op import OPS, ImageOp, build_op
from odin_graph.ops.pipeline import Pipeline
from odin_graph.ops.resize import Resize
from odin_graph.ops.to_float import ToFloat
from odin_graph.ops.to_grey import ToGrey
from odin_graph.ops.to_rgb import ToRgb

__all__ = [
    "OPS",
    "CenterCrop",
    "ImageOp",
    "Normalise",
    "Pipeline",
    "Resize",
    "ToFloat",
    "ToGrey",
    "ToRgb",
    "build_op",
]
