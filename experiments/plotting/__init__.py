"""The figures of ``python -m experiments.plots``, drawn from the saved files of detection-gain runs alone."""
