"""History through the same machines: the Step scheduler, the engine in one process, statistics and reports."""
