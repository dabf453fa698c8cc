"""Models that are quantised in the cloud: what a dropped one goes through."""
