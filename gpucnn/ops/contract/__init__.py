"""The Ops contract by family: what each method takes, checks and returns, on every device.

A public method checks its arguments once for all devices and hands them to the device's method of
the same name with a leading underscore. So no device can forget a check, and none repeats one.
"""
