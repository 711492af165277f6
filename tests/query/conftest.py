"""How random cases are drawn: no deadline on a shared machine, and what repeats a failure is printed."""

from hypothesis import settings

settings.register_profile("odin", deadline=None, print_blob=True)
settings.load_profile("odin")
