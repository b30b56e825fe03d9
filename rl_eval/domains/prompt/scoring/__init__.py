"""Scores of prompts by language models: the table of scores, a local model, an endpoint."""
