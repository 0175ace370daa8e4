"""Array types, random streams, device sharding and atomic file writes."""
