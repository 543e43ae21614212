"""The ground that all rooms stand on: sizes, tensor types, names, places in text, errors, files."""
