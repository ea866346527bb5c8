"""The parts of ``python -m experiments.detection_gain``: its options, its arms, its scores, and its saved format."""
