//! Parses the command line, calls the verb, and turns its result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    steadfast::cli::main()
}
