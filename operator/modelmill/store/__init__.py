"""Bytes in an S3 bucket or a folder: addresses, one client, one table of errors, transfers that are bounded and verified.

The images import it; it imports the contracts, and boto3 only where an s3:// address is opened.
"""
