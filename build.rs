//! Profiles, targets and images are embedded in the binary, so Cargo must rebuild when their folders change.

fn main() {
    for folder in ["profiles", "targets", "docker"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
