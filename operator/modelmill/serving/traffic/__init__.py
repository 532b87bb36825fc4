"""Who gets which share of the requests: by replica counts behind one Service, or by the weights of an HTTPRoute."""
