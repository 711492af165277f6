"""Processes of their own, forked from one that has imported what they need and has nothing open."""

from __future__ import annotations

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.crash.jobs"])
