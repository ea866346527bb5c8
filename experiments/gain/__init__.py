"""The parts of ``python -m experiments.detection_gain``: its arms, its cache, its scores and its saved format."""
