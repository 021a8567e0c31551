"""The road of an event, written down once; `batch` is the picture, the other modules are its legs."""
