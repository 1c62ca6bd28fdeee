"""Networks of other programs, and for other programs: their files read and written; each file names its own imports."""
