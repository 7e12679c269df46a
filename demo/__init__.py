"""The demonstration that ``make demo`` runs: a public pipeline, a paper's analysis, and the slice behind it."""
