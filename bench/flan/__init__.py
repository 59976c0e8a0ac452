"""A corpus of the shape of FLAN 2022, made from a seed, with vectors of the shape of real ones.

`shape` says how many rows each (task, template) has, `texts` writes them as Parquet, `vectors` is
the encoder that knows the vector of each text; `stages` runs smartx over them.
"""
