"""Reports: a study's findings as sentences, pages and text."""
