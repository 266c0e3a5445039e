"""Work on the database as a whole: its migrations, its embedded home."""
