"""Proving an image: it runs, repeats the answers that were recorded for it, and keeps its budgets.

cases → engine (a container engine, or bubblewrap) → readiness → compare, measure → SmokeReport
"""
