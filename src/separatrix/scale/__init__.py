"""Matrices larger than memory: the work of `geometry` on blocks, the same result whoever computes it.

    blocks      a matrix read by row ranges, and the tasks that it is cut into
    kernels     one task: float32 tiles in PyTorch, sums in float64
    lloyd       one pass of k-means over a task
    device, device_tiles    the GPU of a worker; nearest rows and pairs within a radius on it, in PyTorch
    executors   who computes the tasks: this process, several, or a Dask cluster
    processes   how the processes of this machine begin
    prepare     columns brought to one scale, from moments
    moments, kmeans, classes, nearest, silhouette, density, sample    what is computed

A method is a pure function of a task to a partial result, and a reduction of the partials in the order of the tasks, in
float64. Tasks depend on the shape of the matrix alone and each is computed by one thread: so every executor, number of
workers, memory budget and restart gives the same bytes (on processors of one kind).
"""
