"""Files: CSV, libsvm, Parquet.

Reading order: `reading` (what text files do not say of themselves), `csv`, `libsvm`, `parquet_files`, `parquet`,
`parquet_source`.
"""
