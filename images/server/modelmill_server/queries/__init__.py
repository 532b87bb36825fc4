"""What a request asks, whichever protocol it came by: columns of features and the outputs that are wanted."""
