"""The production server: champion and challenger by unit, every decision recorded, aliases followed."""
