"""Who gets which share of the requests: by replica counts behind one Service."""
