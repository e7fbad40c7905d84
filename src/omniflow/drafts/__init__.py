"""Drafts: configurations that `omniflow init` writes from what files hold."""
