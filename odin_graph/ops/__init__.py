"""Image operations: frozen dataclasses by name, recorded with their parameters."""

from odin_graph.ops.augmentation import AUGMENTATIONS, Augmentation, RandomApply, RandomCrop, RandomResizedCrop
from odin_graph.ops.blur import Blur
from odin_graph.ops.center_crop import CenterCrop
from odin_graph.ops.clahe import Clahe
from odin_graph.ops.contrast import Contrast
from odin_graph.ops.crop import Crop
from odin_graph.ops.flip import Flip
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.normalize import Normalize
from odin_graph.ops.op import OPS, ImageOp, build_op
from odin_graph.ops.pad import Pad
from odin_graph.ops.patch import Patch, Patches
from odin_graph.ops.pipeline import Pipeline
from odin_graph.ops.resize import Resize
from odin_graph.ops.rotate import Rotate
from odin_graph.ops.threshold import Threshold
from odin_graph.ops.to_float import ToFloat
from odin_graph.ops.to_grayscale import ToGrayscale
from odin_graph.ops.to_rgb import ToRgb

__all__ = [
    "AUGMENTATIONS",
    "OPS",
    "Augmentation",
    "Blur",
    "CenterCrop",
    "Clahe",
    "Contrast",
    "Crop",
    "Flip",
    "Geometry",
    "ImageOp",
    "Normalize",
    "Pad",
    "Patch",
    "Patches",
    "Pipeline",
    "RandomCrop",
    "RandomResizedCrop",
    "Resize",
    "Rotate",
    "Threshold",
    "ToFloat",
    "ToGrayscale",
    "ToRgb",
    "RandomApply",
    "build_op",
]
