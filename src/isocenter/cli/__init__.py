"""The commands: each reads its arguments, calls one part of Isocenter and says what came of it.

Start at ``main``. Exit codes: 0 done, 1 something failed, 2 the command line is wrong.
"""

from isocenter.cli.main import main

__all__ = ["main"]
