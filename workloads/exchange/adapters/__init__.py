"""Adapters of `VenuePort`, and the server edge of the simulator that one of them talks to."""
