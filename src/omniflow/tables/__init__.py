"""Tables of a study folder, each declared once: who writes, reads or describes one asks here."""
