"""Stand-ins for the widgets that Slicer and CTK add to Qt."""
