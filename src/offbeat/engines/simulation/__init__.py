"""A cluster in a box: virtual time, one seed, injected faults; the numerics are real."""
