"""What a car does for its users, one module for each service.

`registry` knows them all, `hooks` tells them what happens to the car.
"""
