"""A demonstration that ships with the package: ``dj-sqlspy demo``.

`pipeline` is a small laboratory of three projects, `analysis` reads for a paper on one of them, `show` exports, loads
and replays it and prints the outcome, `run` combines these. ``make demo`` in a checkout does the same with a public
pipeline of 68 tables, and also uses `show`.
"""
