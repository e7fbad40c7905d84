"""Events: the store on disk, readers of foreign formats, features and batches."""
