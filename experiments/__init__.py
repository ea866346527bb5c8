"""What researchers run: restoration scores, detection gain, ablation, speed, plots and reports."""
