"""Scopes and regions of the user's own: parts of a program that ``powerml run`` tells apart."""

from powerml.scopes.contexts import LONGEST_NAME, REGION, region, scope

__all__ = ["LONGEST_NAME", "REGION", "region", "scope"]
