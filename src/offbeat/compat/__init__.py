"""Classes with the parameters of other libraries, so that only the import line changes."""
