"""Points in, results out: score, rank, project, cluster, associate, suspects, compare, the head atlas."""
