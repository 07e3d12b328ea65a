"""What the account says, made real: networks, hosts and databases follow moto's objects."""
