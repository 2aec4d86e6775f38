"""The embedded services: started, killed, started again, and refused."""
