"""What a blurred picture says of its exposure, and how to undo it: spectra, kernels, inverse filters."""
