"""From a query to its outputs: admission, batching, execution, explanation, feedback. It knows no protocol's bytes."""
