"""A demonstration that ships with the package: ``dj-sqlspy demo``.

`pipeline` is a small laboratory of three projects, `analysis` what a paper of one of them reads, `show` goes the
whole way of the data and prints what came of it, `run` puts these together. ``make demo`` in a checkout does the
same with a public pipeline of 68 tables, and uses `show` too.
"""
