"""The parts of ``python -m experiments.speed``: the programs, their times and their memory."""
