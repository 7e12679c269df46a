"""Benchmarks: the cost of a capture for an analysis, and of a slice compared with reading its rows.

``python -m benchmarks`` runs them all on a private server and prints one table; `README.md` keeps the last one.
"""
