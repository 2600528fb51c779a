"""Independent jobs: where they run, and scenes as jobs that leave shards."""
