"""What tests share: import it as ``support``."""
