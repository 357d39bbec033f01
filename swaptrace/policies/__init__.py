"""Named compositions of a layout and a path of stages, and the grammar in which users write their own."""
