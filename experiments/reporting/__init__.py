"""The page of ``python -m experiments.report``: its words, tables, pictures and their layout."""
