"""Prompts as text: their parts, and the mutations that change them."""
