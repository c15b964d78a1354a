"""The commands of the command line, one file each; what they share is in files of its own."""
