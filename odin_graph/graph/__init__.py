"""The graph engine over Bolt: connection, embedded engine, bulk writer, keys, change token, schema installation.

Names load when they are used: the keeper lives in this package, and needs neither driver nor neomodel, which would
keep every first open waiting for half a second.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
