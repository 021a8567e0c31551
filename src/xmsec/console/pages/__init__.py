"""Pages: one module, one template and one table of texts each, and a line in `table.py`."""
