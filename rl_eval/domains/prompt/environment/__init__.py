"""The environment of prompt mutation: reachable prompts, their observations and scores, and the vector."""
