"""A page that a process shows on this machine alone: a training as it goes on, texts read when they are shown."""
