"""Puts every pinned asset of `experiments/assets.yaml` into the user's cache folder.

Started by `scripts/setup.sh`, which provides the interpreter; by hand: `PYTHONPATH=scripts python3 -m setup --help`.
"""
