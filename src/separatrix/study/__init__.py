"""A run is a directory: train, evaluate, write, show.

run       the story of `train`: texts in, a trained model, figures, pictures and a report out
baselines linear probe and k-NN on the same frozen vectors
judge     figures of a run: scores with baseline and interval, guards
show      pictures and report, made from the files of the run alone
predict   labels for new texts
"""
