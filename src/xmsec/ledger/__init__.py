"""What is known of data and of people: datasets, labels, grants, persons, in revisions."""
