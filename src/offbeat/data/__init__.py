"""Features and targets wherever they live: sources, shards, encoders, readers of tables and files."""
