"""A database for deep learning over images: lineage, pixels, predictions and activations in one query.

The names are listed in `__init__.pyi` and imported when they are first used: `import odin_graph` loads nothing heavy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
