"""The parts of ``python -m experiments.restoration``: what restores, what is scored and how, and its examples."""
