"""Who changed what, and the daily job that keeps the database small."""
