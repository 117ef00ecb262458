"""Reports in: durable before the device hears yes."""
