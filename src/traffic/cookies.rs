//! A session's cookies: what a browser would send back. One host, so domains are not looked at.

use std::time::SystemTime;

use cookie::Cookie;
use cookie::time::OffsetDateTime;

/// One cookie. A name may stand for several, each for its own path (RFC 6265, section 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    name: Box<str>,
    value: Box<str>,
    /// None: `/`, which nearly all have.
    path: Option<Box<str>>,
}

/// In the order in which they were first set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieJar {
    cookies: Vec<Kept>,
}

impl CookieJar {
    /// Takes the value of a `Set-Cookie` header in the reply to a request for `path`. What cannot be read is left out;
    /// what has expired already is deleted.
    pub fn set(&mut self, header: &[u8], path: &str) {
        let Ok(text) = std::str::from_utf8(header) else { return };
        let Ok(cookie) = Cookie::parse(text) else { return };
        let of_path = cookie.path().filter(|given| given.starts_with('/')).unwrap_or_else(|| default_path(path));
        let of_path = (of_path != "/").then(|| of_path.into());
        let known = self.cookies.iter().position(|kept| *kept.name == *cookie.name() && kept.path == of_path);
        if is_expired(&cookie) {
            if let Some(index) = known {
                self.cookies.remove(index);
            }
            return;
        }
        if let Some(kept) = known.and_then(|index| self.cookies.get_mut(index)) {
            kept.value = cookie.value().into();
        } else {
            // Most users have one or two, and there may be a million users.
            self.cookies.reserve_exact(1);
            self.cookies.push(Kept { name: cookie.name().into(), value: cookie.value().into(), path: of_path });
        }
    }

    /// Appends the `Cookie` header of a request for `path`, if there is anything to send.
    pub fn write_header(&self, path: &str, request: &mut Vec<u8>) {
        let mut before: &[u8] = b"Cookie: ";
        for kept in self.cookies.iter().filter(|kept| kept.path.as_deref().is_none_or(|of| matches(path, of))) {
            for part in [before, kept.name.as_bytes(), b"=", kept.value.as_bytes()] {
                request.extend_from_slice(part);
            }
            before = b"; ";
        }
        if before == b"; " {
            request.extend_from_slice(b"\r\n");
        }
    }
}

/// RFC 6265, section 5.1.4: up to the last slash, but not with it.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) if at > 0 => path.get(..at).unwrap_or("/"),
        _ => "/",
    }
}

/// RFC 6265, section 5.1.4.
fn matches(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || of.ends_with('/') || rest.starts_with('/'))
}

/// `Max-Age` has precedence over `Expires`.
fn is_expired(cookie: &Cookie) -> bool {
    if let Some(age) = cookie.max_age() {
        return !age.is_positive();
    }
    cookie.expires_datetime().is_some_and(|expires| expires <= OffsetDateTime::from(SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(jar: &CookieJar, path: &str) -> String {
        let mut request = Vec::new();
        jar.write_header(path, &mut request);
        String::from_utf8(request).unwrap()
    }

    fn jar(cookies: &[&str]) -> CookieJar {
        let mut jar = CookieJar::default();
        for cookie in cookies {
            jar.set(cookie.as_bytes(), "/session");
        }
        jar
    }

    #[test]
    fn cookies_are_kept_replaced_and_deleted() {
        let mut jar = jar(&["JSESSIONID=1; Path=/; HttpOnly", "SRV=app-1; path=/"]);
        assert_eq!(header(&jar, "/session"), "Cookie: JSESSIONID=1; SRV=app-1\r\n");
        jar.set(b"SRV=app-2", "/session");
        assert_eq!(header(&jar, "/session"), "Cookie: JSESSIONID=1; SRV=app-2\r\n");
        jar.set(b"SRV=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/", "/session");
        jar.set(b"JSESSIONID=x; Max-Age=0", "/session");
        assert_eq!(header(&jar, "/session"), "");
    }

    #[test]
    fn a_cookie_that_is_renamed_is_sent_under_its_new_name_alone() {
        let jar = jar(&["old=1; Path=/", "old=; Max-Age=0; Path=/", "new=1; Path=/"]);
        assert_eq!(header(&jar, "/session"), "Cookie: new=1\r\n");
    }

    #[test]
    fn a_cookie_goes_back_only_under_its_path() {
        let mut jar = jar(&["a=1; Path=/session", "b=2; Path=/other"]);
        jar.set(b"c=3", "/session/ops");
        assert_eq!(header(&jar, "/session"), "Cookie: a=1; c=3\r\n");
        assert_eq!(header(&jar, "/session/ops"), "Cookie: a=1; c=3\r\n");
        assert_eq!(header(&jar, "/sessions"), "");
    }

    #[test]
    fn a_date_that_has_passed_deletes_and_one_to_come_does_not() {
        let jar = jar(&[
            "a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
            "b=2; Expires=Wed, 21 Oct 2099 07:28:00 GMT",
            "c=3; Max-Age=60; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
        ]);
        assert_eq!(header(&jar, "/"), "Cookie: b=2; c=3\r\n");
    }

    #[test]
    fn what_is_no_cookie_is_left_out() {
        assert_eq!(jar(&["", ";", "=", "=x", "novalue"]), CookieJar::default());
        let mut jar = CookieJar::default();
        jar.set(b"a=\xff", "/");
        assert_eq!(jar, CookieJar::default());
    }
}
