"""Array types, random streams, device sharding, files and wording."""
