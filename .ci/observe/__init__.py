"""The parts of .ci/observability."""
