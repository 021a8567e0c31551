"""The rooms for people: pages served in the browser, and who may see and do what in them."""
