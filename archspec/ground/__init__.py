"""What everything stands on: sizes, tensor types, names, places in text, errors, files."""
