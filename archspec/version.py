"""The version of archspec, said once."""

__version__ = "0.1.0"
