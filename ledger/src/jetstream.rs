//! The log in one stream of a NATS server or cluster, for a farm. Connected by the composition root.
