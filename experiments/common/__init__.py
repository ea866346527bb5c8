"""What several commands are made of: what belongs to one of them alone lies in its own folder."""
