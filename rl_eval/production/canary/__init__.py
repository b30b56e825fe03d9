"""The roll-out of a challenger: a pure core, and a driver over the store and the registry."""
