"""Weights from files: what is in them, how it goes into a network, and the plan that says so beforehand."""
