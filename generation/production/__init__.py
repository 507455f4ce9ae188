"""Many scenes at once: processes or Ray, resumable."""
