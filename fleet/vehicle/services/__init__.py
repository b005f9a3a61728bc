"""The services of a car for its users, one module for each service.

`registry` lists them all, `hooks` passes on to them what happens to the car.
"""
