"""Deblur, then detect: sources, the chain, sinks and the command a user types."""
