"""The web application's side of the accounts, by its own library."""
