"""The email recipe: business line, queue and topic of a mail, by three heads."""
