//! The binary `croft`.

fn main() -> std::process::ExitCode {
    croft::main(std::env::args_os()).into()
}
