"""The whole loop once on one machine, with real parts, and a page that tells what happened."""
