"""Files: CSV, libsvm, Parquet.

Reading order: `read_options` (what text files do not say of themselves), `text_files`, `csv`, `libsvm`; `parquet_files`
(which files a path means), `parquet`.
"""
