"""Checks of content files, one topic a module; a check looks at one file or at the whole set and gives issues."""
