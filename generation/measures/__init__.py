"""What the quality report measures."""
