"""Studies: what a study is, as records, rules and a folder."""
