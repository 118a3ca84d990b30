"""A repository with models becomes one whose models are checked and released: what is missing is written."""
