"""What works through the resources of a deployment: graph, plan, apply."""
