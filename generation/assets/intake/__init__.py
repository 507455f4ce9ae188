"""Import runs: finding sources, limited processes, progress."""
