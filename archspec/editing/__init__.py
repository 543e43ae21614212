"""Editing: what an editor asks of a spec while it is written, told from one analysis of its text."""
