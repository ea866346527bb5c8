"""The parts of ``python -m experiments.path_critic`` and ``path_trust``: samples, and how networks learn from them."""
