"""Searching for the settings with which a network learns best, by trainings that are compared on validation images.

space.py    what is searched, and how a trial's choice becomes settings
trial.py    one training with one choice, and what is kept of it
study.py    the folder of a study: its settings, and its trials
journal.py  the file in which Optuna's storage keeps the trials, line by line
tune.py     the loop over the trials
picture.py  the picture of a study

Importing `rot180.tuning.tune` imports Optuna.
"""
