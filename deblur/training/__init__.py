"""The training loop behind ``python -m deblur.train``, and what it is made of."""
