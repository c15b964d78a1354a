"""Races between Offbeat and its peers: one file for each data set, problem and solver."""
