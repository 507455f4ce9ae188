"""What a training run needs, found from its traced program."""
