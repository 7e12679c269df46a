"""Benchmarks: what capture costs an analysis, and what a slice costs beside reading its rows.

``python -m benchmarks`` runs them all on a private server and prints one table; `README.md` keeps the last one.
"""
