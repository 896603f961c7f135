"""Scopes and regions of the user's own: parts of a program that ``powerml run`` tells apart."""

from powerml.scopes.contexts import FROM_REGION, LONGEST_NAME, REGION, region, scope

__all__ = ["FROM_REGION", "LONGEST_NAME", "REGION", "region", "scope"]
