"""Validators: what a standard lets one check about an identifier; one identifier a file.

A validator takes the matched text and says True (its check passed), None (the shape is right and no more can be said: the
pattern's own score stands) or False (refuted). It never raises, whatever the text, and no message of it holds a value.
"""
