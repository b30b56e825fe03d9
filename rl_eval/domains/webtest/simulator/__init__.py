"""Generated applications: page graphs with forms, sessions and seeded defects, stepped as arrays."""
