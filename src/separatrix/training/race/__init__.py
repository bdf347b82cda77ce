"""The race of `--method auto`: methods trained on growing numbers of rows, judged on held-out ones, one of them chosen.

rows        which rows a trial learns from, and by which it is judged
candidates  the methods with their options
decide      what the trials so far say: who is out, whether the race is over; reads nothing but their records
run         does the trials, keeps each on disk, and chooses
story       the same as figures and two sentences
"""
