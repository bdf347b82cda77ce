"""What shape is it? Scores, neighbors, probes and flat maps of vectors, and the guards that look at numbers.

NumPy in, NumPy out: no module here sees a tensor, a file or a picture. Nothing is imported on the way in, so that
`import separatrix.geometry` costs nothing; take the stage you need: `from separatrix.geometry import score`.

    checks      checks of arguments: labels, finite numbers, shapes, output width (they raise)
    score       accuracy, macro-F1, errors of a regression; baseline and interval beside each figure
    calibrate   scores to probabilities, fitted on validation rows
    reliability how far probabilities can be trusted; what leaving unsure rows unanswered gains
    classes     the order of classes that no name decides; folds
    neighbors  exact k nearest neighbors in bounded memory, and their vote: the only one there is
    rowspace    wide matrices in as many directions as they have rows
    probe       linear baselines on frozen vectors
    separation, ranking, collapse, scatter    do classes stand apart, by classifiers, evidence, collapse, spread
    nulls, resample    permutations; bootstraps, two sets of answers, several runs
    plane       the plane of largest variance
    project     PCA, t-SNE, UMAP, LDA, and how faithful a flat picture is
    blend       several models' vectors as one matrix
    prepare     what is done to vectors beforehand
    cluster, density, condense                k-means, DBSCAN, HDBSCAN and what they are made of
    choose                                    how many clusters, how near, how small: by a stated criterion
    assign, associate, suspects               clusters against classes, against any column, and labels that look wrong
    guards      signs that nothing was learnt, as warnings
"""
