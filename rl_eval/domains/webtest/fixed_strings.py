"""Strings that enter hashes and features of this domain. A changed one changes observations."""

# What an n-gram is hashed with, by its kind.
WORD, TRIGRAM = "word", "tri"
