//! `client-side`: the session travels in a signed cookie, and no server holds anything.
//!
//! How it works: the reply to each change carries the whole session, signed with a key that all nodes share (HMAC with
//! SHA-256), and each request brings it back. A cookie with a wrong signature is no session.
//!
//! Claims: the servers have nothing to lose, any node can answer, and nodes need not exchange sessions. In return,
//! every request carries the session. It has to fit into a cookie (4096 bytes with its name and attributes, RFC 6265
//! section 6.1), anyone who kept an old cookie can replay it, and it does not end at log-out: the server can only ask
//! the client to delete it. Two concurrent requests start from the same cookie, and one of the two changes is lost.
//!
//! Real products: Rails' `CookieStore` encrypts as well and sends the cookie again on reads, so that a late
//! reply to a read can overwrite a newer session; Django's `signed_cookies` signs only, as here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::outcome::{Found, Refused};
use super::session::{Session, Update};
use crate::reference::link::{decode, encode};

/// The signing key that all nodes share and clients should not know. It protects only test sessions.
const KEY: &[u8] = b"a key for sessions that are only tests";
/// The size of a cookie that browsers keep, less room for its name and attributes.
const MAX_BYTES: usize = 4096 - 64;

/// Sessions that only their clients hold.
pub struct ClientSide;

impl ClientSide {
    /// Puts a new session into a cookie.
    #[expect(clippy::unused_self, reason = "every strategy is asked in the same way")]
    pub fn create(&self, session: Session) -> Result<Found, Refused> {
        seal(session)
    }

    /// Applies an operation to the session in the cookie.
    pub fn append(&self, cookie: &str, update: &Update) -> Result<Found, Refused> {
        let mut session = self.read(cookie)?;
        session.state.append(update);
        session.touch();
        seal(session)
    }

    /// The same session as of now, in a new cookie.
    #[expect(clippy::unused_self, reason = "every strategy is asked in the same way")]
    pub fn touch(&self, mut session: Session) -> Result<Found, Refused> {
        session.touch();
        seal(session)
    }

    /// The session in the cookie.
    #[expect(clippy::unused_self, reason = "every strategy is asked in the same way")]
    pub fn read(&self, cookie: &str) -> Result<Session, Refused> {
        open(cookie).ok_or(Refused::Unknown)
    }
}

fn seal(session: Session) -> Result<Found, Refused> {
    let bytes = encode(&session);
    let signature = signature_of(&bytes).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    let cookie = format!("{}.{}", URL_SAFE_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(signature));
    if cookie.len() > MAX_BYTES {
        let message = format!("the session takes {} bytes in a cookie, and browsers keep {MAX_BYTES}", cookie.len());
        return Err(Refused::TooLarge(message));
    }
    Ok(Found { session, cookie: Some(cookie) })
}

fn open(cookie: &str) -> Option<Session> {
    let (text, signature) = cookie.split_once('.')?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    signature_of(&bytes)?.verify_slice(&signature).ok()?;
    decode(&bytes).ok()
}

fn signature_of(bytes: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).ok()?;
    mac.update(bytes);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie_of(found: &Found) -> &str {
        found.cookie.as_deref().unwrap()
    }

    #[test]
    fn a_session_comes_back_from_its_cookie_and_an_old_cookie_can_be_replayed() {
        let created = ClientSide.create(Session::create("s1".into(), 2048)).ok().unwrap();
        let written = ClientSide.append(cookie_of(&created), &"1.1.1".into()).ok().unwrap();
        assert_eq!(ClientSide.read(cookie_of(&written)).unwrap(), written.session);
        assert_eq!(ClientSide.read(cookie_of(&created)).unwrap().state.version, 0, "replayed");
    }

    #[test]
    fn a_cookie_that_was_changed_is_no_session() {
        let created = ClientSide.create(Session::create("s1".into(), 10)).ok().unwrap();
        let cookie = cookie_of(&created);
        for index in 0..cookie.len() {
            let mut changed = cookie.to_owned().into_bytes();
            changed[index] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(ClientSide.read(&changed).err(), Some(Refused::Unknown), "at {index}");
        }
        assert_eq!(ClientSide.read("").err(), Some(Refused::Unknown));
    }

    #[test]
    fn a_session_that_no_browser_would_keep_is_refused() {
        let refused = ClientSide.create(Session::create("s1".into(), 4000)).err();
        assert!(matches!(refused, Some(Refused::TooLarge(_))), "{refused:?}");
    }
}
