//! The front door. Today: the cache for other tools (Bazel, ccache) over HTTP.
