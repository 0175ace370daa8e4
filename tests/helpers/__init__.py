"""Small data sets and finished runs that several tests share."""
