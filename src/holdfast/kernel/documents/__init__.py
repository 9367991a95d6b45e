"""CRDT documents in the Yjs wire format: reading updates, holding content, editing. Specification: `spec/documents.md`.

The library (pycrdt) integrates and encodes; everything that a stranger sends is read here first, so that it never meets
anything but well-formed updates whose dependencies are present.
"""
