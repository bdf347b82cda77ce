"""Attention maps: out of the model, through the features, into rows that know their layer and head.

windows       what the model reads; examples and windows are told apart
maps          the model's own eager attention, layer by layer
features      what is kept of a map (a dict); descriptors, frames and resnet hold the functions
extract       all windows through all features
twins         a small network that learns from the grids themselves
repeats       induction and duplicate-token scores, on random tokens that come twice
sentences     what a head or a cluster does, in words
importance    what a head is worth: gradient and ablation
qa, answers   question answering: training, and the official scorer
"""
