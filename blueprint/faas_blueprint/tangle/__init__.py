"""Tangle's ABI: how calls, answers, logs and reverts are written, for each epoch of the protocol.

Pure codecs: nothing here speaks to a chain. `protocol` holds what is the same in every epoch,
`epoch` the interface of what is not, `probe` tells which epoch a deployment belongs to.
"""
