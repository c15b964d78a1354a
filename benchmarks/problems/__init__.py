"""Problems: each file has a tuple `PROBLEMS`."""
