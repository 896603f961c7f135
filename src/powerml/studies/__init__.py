"""Studies: their records, rules and folders."""
