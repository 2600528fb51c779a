"""Training: schedules, hooks, the runner."""
