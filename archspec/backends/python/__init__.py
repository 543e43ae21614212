"""Networks as plain Python files."""

from archspec.backends.python.file import python_source

__all__ = ["python_source"]
