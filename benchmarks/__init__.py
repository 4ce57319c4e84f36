"""Figures, measured side by side in one run: `make bench` and `make soak` print them and keep them in RESULTS.md."""
