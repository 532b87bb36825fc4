"""What several tests share: builders of objects, waiting loops, clusters, traffic."""
