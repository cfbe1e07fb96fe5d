"""What the checks of this repository's sources share. Standard library only, Python 3.10 and later."""
