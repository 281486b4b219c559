//! Profiles, targets and images are embedded in the binary: a new file in their folders is a reason to build again.

fn main() {
    for folder in ["profiles", "targets", "docker"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
