"""What a job is: jobs, outcomes, receipts, their canonical encodings and digests.

Pure values only: no I/O, no clock, no randomness. How a job runs is `faas_microvm`'s business.
"""
