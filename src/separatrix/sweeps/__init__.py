"""A grid of trainings x paired seeds -> runs on disk -> one table.

grid      the TOML file, checked whole before anything runs
settings  the grid spelled out: what each row trains
plan      settings x seeds -> runs, each with the hash of its recipe
study     the folder: which runs are waiting, running, done, failed, interrupted
work      runs are done, here or by workers
table     figures of runs -> one line a setting; the choice by validation alone
verb      `sweep` and its result
"""
