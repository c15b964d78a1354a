"""What asynchrony gives and costs, mostly in virtual time: the figures of docs/asynchrony.md.

python -m benchmarks.asynchrony --list
python -m benchmarks.asynchrony straggler crash
"""
