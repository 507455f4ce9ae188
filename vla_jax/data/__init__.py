"""Data for imitation: demonstrations, datasets on disk, statistics and augmentation."""
