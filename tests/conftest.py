"""Settings of Hypothesis for all tests: how long an example takes is no reason to fail, since machines are busy."""

from hypothesis import HealthCheck, settings

settings.register_profile("rl_eval", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rl_eval")
