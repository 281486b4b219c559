//! Packs this program into an image: the agent, the reference nodes and the reaper are all this file. A static program
//! needs no other file. A dynamic one, as `cargo install` from a URL builds it, is packed with the libraries that it
//! uses on this machine. So both start in an empty image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The image's content, in the build context.
const ROOT: &str = "root";

/// The files of the image, by their path in the build context.
///
/// # Errors
/// A text, when the program or a library cannot be read.
pub fn files() -> Result<BTreeMap<String, Vec<u8>>, String> {
    let path = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = read(&path)?;
    let mut files = BTreeMap::new();
    if is_dynamic(&program) {
        for (inside, library) in linked_with(&path)? {
            files.insert(format!("{ROOT}/{inside}"), read(&library)?);
        }
    }
    files.insert(format!("{ROOT}/steadfast"), program);
    Ok(files)
}

/// Whether a file of the build must be executable.
#[must_use]
pub fn is_run(path: &str) -> bool {
    path.starts_with(ROOT)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The libraries of a program by this machine's dynamic linker: (path in the image, file here).
fn linked_with(program: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    // The linker lists what it would load and does not run the program: ld.so(8).
    let listed = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output();
    let listed = listed.map_err(|error| format!("listing its libraries: {error}"))?;
    libraries(&String::from_utf8_lossy(&listed.stdout))
}

/// Parses the linker's list. Libraries go into one folder, with the names that the program uses; the linker keeps its
/// path.
fn libraries(listed: &str) -> Result<Vec<(String, PathBuf)>, String> {
    let mut found = Vec::new();
    for line in listed.lines().map(str::trim) {
        let (name, rest) = line.split_once(" => ").map_or((None, line), |(name, rest)| (Some(name), rest));
        let path = rest.split(" (").next().unwrap_or_default();
        match name {
            _ if path.starts_with('/') => {
                let inside = name.map_or_else(|| path.trim_start_matches('/').to_owned(), |name| format!("lib/{name}"));
                found.push((inside, PathBuf::from(path)));
            }
            Some(name) => return Err(format!("its library {name} is not found on this machine")),
            // The kernel's vDSO, which is no file.
            None => {}
        }
    }
    if found.is_empty() { Err("the dynamic linker lists no library of it".to_owned()) } else { Ok(found) }
}

/// Whether an ELF program needs an interpreter, the dynamic linker: segment type 3, `PT_INTERP`.
fn is_dynamic(program: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let word = |at: usize, size: usize| {
        let bytes = program.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let segments = || {
        let (table, size, count) = (word(0x20, 8)?, word(0x36, 2)?, word(0x38, 2)?);
        let at = |index: u64| usize::try_from(table + index * size).ok();
        Some((0..count).any(|index| at(index).and_then(|at| word(at, 4)) == Some(u64::from(PT_INTERP))))
    };
    program.starts_with(b"\x7fELF") && segments().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_linker_is_distinguished_from_a_static_one() {
        let this_test = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(!is_dynamic(&this_test), "cargo's configuration links statically");
        assert!(is_dynamic(&std::fs::read("/bin/sh").unwrap()));
        assert!(!is_dynamic(b"\x7fELF"));
    }

    #[test]
    fn the_libraries_of_a_dynamic_program_are_packed_and_its_linker_keeps_its_path() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1c)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f1d)\n";
        let found = libraries(listed).unwrap();
        let expected = [
            ("lib/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
            ("lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
        ];
        assert_eq!(found, expected.map(|(inside, path)| (inside.to_owned(), PathBuf::from(path))));
        assert_eq!(
            libraries("\tlibodd.so.1 => not found\n"),
            Err("its library libodd.so.1 is not found on this machine".to_owned())
        );
        assert!(libraries("").is_err());
        let of_the_shell = linked_with(Path::new("/bin/sh")).unwrap();
        assert!(
            of_the_shell.iter().any(|(inside, path)| inside == "lib/libc.so.6" && path.exists()),
            "{of_the_shell:?}"
        );
    }
}
