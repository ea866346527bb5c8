"""Bring data sets into one layout, ``train|val|test/{blur,sharp}`` with a manifest: ``python -m deblur.prepare``.

``data_sets`` states what is known of each data set, ``layouts`` reads its own folders, ``checks`` reads and judges the
pictures, ``splits`` sets scenes aside for validation, ``placing`` links or copies the files and writes the manifest,
and ``command`` is the command line.
"""

from deblur.prepare.command import main as main

__all__ = ["main"]
