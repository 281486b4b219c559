//! Tests on real containers.

fn main() {}
