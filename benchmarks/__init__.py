"""What archspec claims about speed, as ratios taken in one run: `python -m benchmarks`."""
