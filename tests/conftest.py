"""What every test may ask for. The fixtures that run real programs are in ``programs.py``."""

pytest_plugins = ("programs",)
