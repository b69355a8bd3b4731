"""The steps of the pipelines, one file each: read ids and addresses, call one library function, show what came out.

A step is a lightweight component: its function travels as source and imports the library from the image. Folders pass
between steps as ids in the store. A step's output artifact holds the manifest of the folder, never the folder itself:
KFP copies every artifact into its own bucket, and refuses one whose address lies outside of it.

Nothing is imported here: a running step imports `showing` from this package, and inside a step KFP has no decorators.
"""
