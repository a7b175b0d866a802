//! The binary under test: the same entry as the binary `croft`. It is a target of this crate so that cargo builds it, up to
//! date, before the tests that start it.

fn main() -> std::process::ExitCode {
    croft::main(std::env::args_os()).into()
}
