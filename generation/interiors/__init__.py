"""Painted rooms and gardens: a small ray caster, furniture, and plans by style."""
