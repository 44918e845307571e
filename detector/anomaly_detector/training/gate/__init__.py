"""Whether a new model may decide: faults that are put in, and a paired comparison with the model in use and with a PCA.

`faults` puts faults into windows or series, `verdict` counts and tests (both pure), `rivals` are the models to compare with,
`judge` runs them all.
"""
