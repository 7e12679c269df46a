"""Open copy: a bundle in formats that open without a server.

`writing` makes Parquet files and a DuckDB database of the tables; it needs the extra ``open`` (pyarrow, duckdb).
`sourcedata` makes CSV files of what each analysis received, and Parquet and Excel files where the packages for them
are installed. Both load the bundle into a private server.
"""
