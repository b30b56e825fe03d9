"""The control loop: collect, train, prove, register, roll out, watch, turn after turn."""
