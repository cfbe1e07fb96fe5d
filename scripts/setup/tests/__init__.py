"""Unit tests of the set-up: every promise about bad bytes, lost connections and parallel runs is provoked here."""
