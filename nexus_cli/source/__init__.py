"""1 read: from files to one tree of plain values with the place of everything in the text."""
