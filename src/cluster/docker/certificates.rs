//! The certificates that this machine trusts, for builds that fetch something over TLS: behind a proxy that opens TLS, as companies
//! have it, a fresh image trusts nobody.

use std::env;

/// The file in the build context of an image whose Dockerfile names it.
pub const FILE: &str = "certificates.pem";

/// Where systems keep them: Debian and Alpine, Fedora, SUSE, macOS.
const PLACES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The certificates in one file: `SSL_CERT_FILE`, as OpenSSL has it, or where systems keep them. Empty if there are none; the image's
/// own are used then.
pub fn of_machine() -> Vec<u8> {
    let chosen = env::var("SSL_CERT_FILE").ok().filter(|path| !path.is_empty());
    let mut places = chosen.into_iter().chain(PLACES.map(str::to_owned));
    places.find_map(|place| std::fs::read(place).ok()).unwrap_or_default()
}
