"""What the bus does beside delivering: registering, expiring, replaying, keeping and forgetting."""
