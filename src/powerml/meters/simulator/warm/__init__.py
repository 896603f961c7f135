"""The warm simulator: a process of this user that keeps guests ready for later commands."""
