"""A model as a folder: the one room that writes such folders and reads them, for training as for serving.

The rule of this room: reading runs nothing. A type that is not on the reader's list of allowed ones ends with an
error that names it, and no file is opened before its digest was compared.
"""
