"""C++ sources of the native engine, see omniflow.training.native."""
