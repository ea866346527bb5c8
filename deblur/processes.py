"""What several processes of one run have in common, as ``torchrun`` and ``accelerate launch`` start them."""

from datetime import timedelta

PATIENCE = timedelta(days=2)
"""How long one waits for the slowest, which may score alone for hours: torch ends them all after 10 to 30 minutes."""
