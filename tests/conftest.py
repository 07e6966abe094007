"""What every test may ask for. The fixtures that run real programs are in ``programs.py``."""

from hypothesis import settings

pytest_plugins = ("programs",)

# Tests share the machine with each other: a deadline would measure that.
settings.register_profile("tests", settings.default, deadline=None)
settings.load_profile("tests")
