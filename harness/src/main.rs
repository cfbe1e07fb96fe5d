//! The command `dubench`.

fn main() -> std::process::ExitCode {
    dubench::cli::main()
}
