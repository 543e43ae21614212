"""Networks as plain Python files."""

from archspec.backends.python.file import Described, python_source

__all__ = ["Described", "python_source"]
