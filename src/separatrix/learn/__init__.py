"""What is trained, and how: objectives, centroids, one loop, prompts, trajectories."""
