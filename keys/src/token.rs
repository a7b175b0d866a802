//! Tokens of clients. Read from a file that holds only their hashes; asked on every request.
