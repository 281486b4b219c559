//! Checks that a socket can be used: the library's error names neither the path nor the fix.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::endpoint::Endpoint;
use crate::cluster::ClusterError;

/// Connects to the socket once.
///
/// # Errors
/// When it does not exist, nobody listens, or this user lacks permission (with the group that has it).
pub async fn check(path: &Path, endpoint: &Endpoint) -> Result<(), ClusterError> {
    let Err(error) = tokio::net::UnixStream::connect(path).await else { return Ok(()) };
    let group = std::fs::metadata(path).ok().map(|metadata| metadata.gid());
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let (reason, next_step) = explain(&error, group.and_then(|id| name_of(id, &groups)), &endpoint.advice());
    Err(ClusterError::new(format!("connecting to the engine at {endpoint}"), reason).advise(next_step))
}

/// `start` is the advice for an engine that does not run.
fn explain(error: &std::io::Error, group: Option<&str>, start: &str) -> (String, String) {
    match (error.kind(), group) {
        (ErrorKind::NotFound, _) => ("there is no such socket".to_owned(), start.to_owned()),
        (ErrorKind::ConnectionRefused, _) => {
            ("nobody listens at its socket: the engine has ended".to_owned(), start.to_owned())
        }
        (ErrorKind::PermissionDenied, Some(group)) => (
            format!("this user has no right to its socket, which belongs to the group `{group}`"),
            format!("`sudo usermod -aG {group} $USER`, and log in again; its members have the rights of root"),
        ),
        (ErrorKind::PermissionDenied, None) => (
            "this user has no right to its socket".to_owned(),
            "run as a user with that right, or use a rootless engine of your own".to_owned(),
        ),
        _ => (error.to_string(), start.to_owned()),
    }
}

/// The name of a group, from the lines of `/etc/group`.
fn name_of(id: u32, groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_socket_names_the_group_that_has_permission() {
        let groups = "root:x:0:\ndocker:x:998:me\n";
        let (reason, next_step) = explain(&ErrorKind::PermissionDenied.into(), name_of(998, groups), "");
        assert_eq!(reason, "this user has no right to its socket, which belongs to the group `docker`");
        assert!(next_step.starts_with("`sudo usermod -aG docker $USER`"), "{next_step}");
        assert_eq!(name_of(5, groups), None);
    }

    #[tokio::test]
    async fn a_socket_without_a_listener_is_distinguished_from_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let reason = async || {
            let address = format!("unix://{}", path.display());
            let endpoint = Endpoint { address, named_by: super::super::endpoint::NamedBy::Host, certificates: None };
            check(&path, &endpoint).await.unwrap_err().reason
        };
        assert_eq!(reason().await, "there is no such socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert_eq!(reason().await, "nobody listens at its socket: the engine has ended");
    }
}
