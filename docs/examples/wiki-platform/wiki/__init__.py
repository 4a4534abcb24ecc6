"""Pages and their revisions."""
