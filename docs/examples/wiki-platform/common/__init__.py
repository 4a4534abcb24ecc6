"""What the four services share: the version, the database and the web layer."""
