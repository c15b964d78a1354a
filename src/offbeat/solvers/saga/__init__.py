"""Steps along single rows whose noise vanishes.

Reading order: `saga`, `messages` (what travels), `hub`, `shard`, `epochs` (the steps themselves).
"""
