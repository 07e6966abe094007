"""Builds everything from ``Config`` and runs it; alone knows all parts.

Start at ``node``: one process with its listeners. ``http`` is the HTTP listener, ``log`` how lines
are written.
"""
