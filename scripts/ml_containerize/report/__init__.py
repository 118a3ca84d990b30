"""Telling what happened: a record for machines, a summary for people, outputs and annotations for GitHub."""
