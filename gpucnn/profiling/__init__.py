"""Where a training step's time goes: by layer, method and kernel, against what the device can do.

`observe` watches a Trainer and tells observers; a `Recorder` is one of them and keeps spans; a
`Profile` is what they amount to. Layers, operations and the loop know nothing of it.
"""
