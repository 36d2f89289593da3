"""The controls: one file for each question a visitor can ask of a network."""
