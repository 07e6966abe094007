"""``python -m isocenter``: the same as ``isocenter``."""

from isocenter.cli import main

main()
