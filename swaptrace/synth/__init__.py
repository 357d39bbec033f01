"""Seeded synthetic traces: recipes that touch pages, and a small machine that swaps them. Sees the model only."""
