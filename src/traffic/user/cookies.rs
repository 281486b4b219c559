//! A session's cookies, kept and sent back as browsers do (RFC 6265bis, draft 22: sections 5.5 to 5.8). All requests of
//! a load go to one host over one scheme, so a cookie for another host or scheme is refused when it is set.
//!
//! The jar is our own code because there may be a million jars: a library's store for one user takes as much memory as
//! a whole session here. A library parses the `Set-Cookie` headers.

use cookie::Cookie;

use super::dates;

/// Largest name and value together (section 5.6).
const MAX_PAIR_BYTES: usize = 4096;
/// A longer attribute is ignored (section 5.6).
const MAX_ATTRIBUTE_BYTES: usize = 1024;
/// Chromium's limit for one host; beyond it, the oldest cookie with the longest path is removed.
const MAX_COOKIES: usize = 180;
/// The expiry of a cookie that stays until the browser is closed.
const NEVER: i64 = i64::MAX;

/// The destination of a load's requests, as far as cookies depend on it.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The host, without a port.
    pub host: String,
    /// Whether requests use TLS.
    pub is_secure: bool,
}

/// One cookie. Several cookies may have the same name, each for its own path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    name: Box<str>,
    value: Box<str>,
    /// `None`: `/`, which nearly all cookies have.
    path: Option<Box<str>>,
    /// Unix time in seconds; [`NEVER`] without an expiry.
    expires_s: i64,
}

impl Kept {
    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }
}

/// The cookies in the order in which they are sent (section 5.8.3): longer paths first, then the order in which they
/// were first set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieJar {
    cookies: Vec<Kept>,
}

impl CookieJar {
    /// Applies a `Set-Cookie` header of the reply to a request for `path`. Ignores a cookie that browsers refuse, and
    /// deletes one that has expired. `now_s` returns Unix time in seconds and is called only if it is needed.
    pub fn set(&mut self, header: &[u8], path: &str, site: &Site, now_s: impl Fn() -> i64) {
        let Some(cookie) = read(header).filter(|cookie| is_allowed(cookie, site)) else { return };
        let of_path = cookie.path().filter(|given| is_attribute(given) && given.starts_with('/'));
        let of_path = of_path.unwrap_or_else(|| default_path(path));
        let of_path = (of_path != "/").then(|| of_path.into());
        let expires_s = expires_s(&cookie, header, &now_s);
        let known = self.cookies.iter().position(|kept| *kept.name == *cookie.name() && kept.path == of_path);
        if expires_s != NEVER && expires_s <= now_s() {
            if let Some(index) = known {
                self.cookies.remove(index);
            }
        } else if let Some(kept) = known.and_then(|index| self.cookies.get_mut(index)) {
            // An updated cookie keeps its place in the order.
            (kept.value, kept.expires_s) = (cookie.value().into(), expires_s);
        } else {
            self.add(Kept { name: cookie.name().into(), value: cookie.value().into(), path: of_path, expires_s });
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Whether both have the same cookies with the same values, however long these are kept.
    #[must_use]
    pub fn has_the_values_of(&self, other: &Self) -> bool {
        let is_alike = |(one, other): (&Kept, &Kept)| {
            (&one.name, &one.value, &one.path) == (&other.name, &other.value, &other.path)
        };
        self.cookies.len() == other.cookies.len() && self.cookies.iter().zip(&other.cookies).all(is_alike)
    }

    /// The same cookies with other values of the same form, as nobody was ever given them.
    #[must_use]
    pub fn made_up(&self) -> Self {
        let made_up = |kept: &Kept| Kept { value: made_up(&kept.value).into(), ..kept.clone() };
        Self { cookies: self.cookies.iter().map(made_up).collect() }
    }

    fn add(&mut self, new: Kept) {
        if self.cookies.len() >= MAX_COOKIES {
            self.cookies.remove(0);
        }
        // Saves memory: most users have one or two cookies, and there may be a million users.
        self.cookies.reserve_exact(1);
        let place = self.cookies.partition_point(|kept| kept.path().len() >= new.path().len());
        self.cookies.insert(place, new);
    }

    /// Appends the `Cookie` header of a request for `path`, if there is a cookie to send.
    pub fn write_header(&self, path: &str, now_s: impl Fn() -> i64, request: &mut Vec<u8>) {
        let has_end = self.cookies.iter().any(|kept| kept.expires_s != NEVER);
        let now_s = if has_end { now_s() } else { i64::MIN };
        let is_sent = |kept: &&Kept| now_s < kept.expires_s && kept.path.as_deref().is_none_or(|of| matches(path, of));
        let mut before: &[u8] = b"Cookie: ";
        for kept in self.cookies.iter().filter(is_sent) {
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

/// Another value of the same form: each letter and digit is the next one. A hexadecimal number stays one.
#[must_use]
pub fn made_up(value: &str) -> String {
    let is_hexadecimal = value.chars().all(|character| character.is_ascii_hexdigit());
    let next = |character: char| match character {
        'f' if is_hexadecimal => 'a',
        'F' if is_hexadecimal => 'A',
        '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from_u32(u32::from(character) + 1).unwrap_or(character),
        '9' => '0',
        'z' => 'a',
        'Z' => 'A',
        other => other,
    };
    value.chars().map(next).collect()
}

/// Parses a header. Returns `None` if it is invalid or too large (section 5.6).
fn read(header: &[u8]) -> Option<Cookie<'_>> {
    let is_control = |byte: &u8| (byte.is_ascii_control() && *byte != b'\t') || *byte == 0x7f;
    let text = std::str::from_utf8(header).ok().filter(|_| !header.iter().any(is_control))?;
    let cookie = Cookie::parse(text).ok()?;
    (cookie.name().len() + cookie.value().len() <= MAX_PAIR_BYTES).then_some(cookie)
}

fn is_attribute(value: &str) -> bool {
    value.len() <= MAX_ATTRIBUTE_BYTES
}

/// Section 5.7, steps 8 to 22: checks the host, TLS, and the name prefixes `__Host-` and `__Secure-`.
fn is_allowed(cookie: &Cookie, site: &Site) -> bool {
    let domain = cookie.domain().filter(|domain| is_attribute(domain) && !domain.is_empty());
    let is_secure = cookie.secure() == Some(true);
    let begins_with =
        |prefix: &str| cookie.name().get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    let keeps_its_promise = if begins_with("__Host-") {
        is_secure && domain.is_none() && cookie.path() == Some("/")
    } else {
        !begins_with("__Secure-") || is_secure
    };
    domain.is_none_or(|domain| domain_matches(&site.host, domain))
        && (!is_secure || site.is_secure)
        && keeps_its_promise
}

/// Section 5.1.3. A domain without a dot is a top-level domain and matches only a host of the same name.
fn domain_matches(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let is_address = host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[');
    let is_below = || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
    host == domain || (!is_address && domain.contains('.') && is_below())
}

/// `Max-Age` has precedence over `Expires` (section 5.7, step 6).
fn expires_s(cookie: &Cookie, header: &[u8], now_s: &impl Fn() -> i64) -> i64 {
    if let Some(age) = cookie.max_age() {
        let age_s = age.whole_seconds();
        return if age_s <= 0 { i64::MIN } else { now_s().saturating_add(age_s) };
    }
    // The library parses only some date formats, so the attribute is parsed again here.
    let text = std::str::from_utf8(header).unwrap_or_default();
    let attributes = text.split(';').skip(1).filter_map(|attribute| attribute.split_once('='));
    let dates = attributes.filter(|(name, _)| name.trim().eq_ignore_ascii_case("expires"));
    let dates = dates.map(|(_, date)| date.trim()).filter(|date| is_attribute(date));
    dates.filter_map(dates::parse).last().unwrap_or(NEVER)
}

/// Section 5.1.4: the request's path up to its last slash, without the slash.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) if at > 0 => path.get(..at).unwrap_or("/"),
        _ => "/",
    }
}

/// Section 5.1.4: whether a cookie for path `of` is sent to `path`.
fn matches(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || of.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01.
    const NOW_S: i64 = 1_767_225_600;

    fn site(host: &str, is_secure: bool) -> Site {
        Site { host: host.to_owned(), is_secure }
    }

    fn set(jar: &mut CookieJar, cookie: &str, path: &str) {
        jar.set(cookie.as_bytes(), path, &site("shop.example.com", false), || NOW_S);
    }

    fn header_at(jar: &CookieJar, path: &str, now_s: i64) -> String {
        let mut request = Vec::new();
        jar.write_header(path, || now_s, &mut request);
        String::from_utf8(request).unwrap()
    }

    fn header(jar: &CookieJar, path: &str) -> String {
        header_at(jar, path, NOW_S)
    }

    fn jar(cookies: &[&str]) -> CookieJar {
        let mut jar = CookieJar::default();
        for cookie in cookies {
            set(&mut jar, cookie, "/session");
        }
        jar
    }

    fn is_kept(cookie: &str, site: &Site) -> bool {
        let mut jar = CookieJar::default();
        jar.set(cookie.as_bytes(), "/", site, || NOW_S);
        jar != CookieJar::default()
    }

    #[test]
    fn cookies_are_kept_replaced_and_deleted() {
        let mut jar = jar(&["JSESSIONID=1; Path=/; HttpOnly", "SRV=app-1; path=/"]);
        assert_eq!(header(&jar, "/session"), "Cookie: JSESSIONID=1; SRV=app-1\r\n");
        set(&mut jar, "SRV=app-2", "/session");
        assert_eq!(header(&jar, "/session"), "Cookie: JSESSIONID=1; SRV=app-2\r\n");
        set(&mut jar, "SRV=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/", "/session");
        set(&mut jar, "JSESSIONID=x; Max-Age=0", "/session");
        assert_eq!(header(&jar, "/session"), "");
    }

    #[test]
    fn a_cookie_that_is_renamed_is_sent_under_its_new_name_alone() {
        let jar = jar(&["old=1; Path=/", "old=; Max-Age=0; Path=/", "new=1; Path=/"]);
        assert_eq!(header(&jar, "/session"), "Cookie: new=1\r\n");
    }

    #[test]
    fn the_last_cookie_of_a_reply_counts_and_a_new_one_moves_the_expiry() {
        // As reported for Cypress (#25495) and siege (#9).
        let mut jar = jar(&["SID=deleted; Expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0", "SID=new; Max-Age=60"]);
        assert_eq!(header(&jar, "/session"), "Cookie: SID=new\r\n");
        jar.set(b"SID=new; Max-Age=60", "/session", &site("shop.example.com", false), || NOW_S + 50);
        assert_eq!(header_at(&jar, "/session", NOW_S + 100), "Cookie: SID=new\r\n");
        assert_eq!(header_at(&jar, "/session", NOW_S + 110), "");
    }

    #[test]
    fn a_cookie_is_sent_only_for_its_path() {
        let mut jar = jar(&["a=1; Path=/session", "b=2; Path=/other"]);
        set(&mut jar, "c=3", "/session/ops");
        assert_eq!(header(&jar, "/session"), "Cookie: a=1; c=3\r\n");
        assert_eq!(header(&jar, "/session/ops"), "Cookie: a=1; c=3\r\n");
        assert_eq!(header(&jar, "/sessions"), "");
    }

    #[test]
    fn longer_paths_are_sent_first_and_equal_ones_in_the_order_of_their_first_setting() {
        let jar = jar(&["SID=root; Path=/", "b=1; Path=/app/", "SID=app; Path=/app", "c=1; Path=/", "SID=new; Path=/"]);
        assert_eq!(header(&jar, "/app/x"), "Cookie: b=1; SID=app; SID=new; c=1\r\n");
    }

    #[test]
    fn a_cookie_is_sent_until_it_expires_and_not_a_second_longer() {
        let jar = jar(&["a=1; Max-Age=60", "b=1; Expires=Thu, 01 Jan 2026 00:00:30 GMT", "c=1"]);
        assert_eq!(header_at(&jar, "/", NOW_S + 29), "Cookie: a=1; b=1; c=1\r\n");
        assert_eq!(header_at(&jar, "/", NOW_S + 30), "Cookie: a=1; c=1\r\n");
        assert_eq!(header_at(&jar, "/", NOW_S + 60), "Cookie: c=1\r\n");
    }

    #[test]
    fn a_past_date_deletes_and_a_future_one_does_not() {
        let jar = jar(&[
            "a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
            "b=2; Expires=Wed, 21 Oct 2099 07:28:00 GMT",
            "c=3; Max-Age=60; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
            "d=4; Expires=not a date",
        ]);
        assert_eq!(header(&jar, "/"), "Cookie: b=2; c=3; d=4\r\n");
    }

    #[test]
    fn a_cookie_for_tls_is_kept_only_over_tls() {
        for cookie in ["a=1; Secure", "__Secure-a=1; Secure", "__Host-a=1; Secure; Path=/"] {
            assert!(is_kept(cookie, &site("x.com", true)) && !is_kept(cookie, &site("x.com", false)), "{cookie}");
        }
    }

    #[test]
    fn name_prefixes_are_enforced() {
        let tls = site("x.com", true);
        for broken in [
            "__Secure-a=1",
            "__secure-a=1",
            "__Host-a=1; Path=/",
            "__Host-a=1; Secure",
            "__Host-a=1; Secure; Path=/app",
            "__Host-a=1; Secure; Path=/; Domain=x.com",
            "__HOST-a=1",
        ] {
            assert!(!is_kept(broken, &tls), "{broken}");
        }
    }

    #[test]
    fn cookies_for_other_hosts_are_refused() {
        let is_kept_for = |domain: &str, host: &str| is_kept(&format!("a=1; Domain={domain}"), &site(host, false));
        for (domain, host) in [
            ("shop.example.com", "shop.example.com"),
            ("example.com", "shop.example.com"),
            (".Example.com", "shop.example.COM"),
            ("", "x.com"),
            ("localhost", "localhost"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert!(is_kept_for(domain, host), "{domain} at {host}");
        }
        for (domain, host) in [
            ("other.com", "shop.example.com"),
            ("ample.com", "example.com"),
            ("com", "example.com"),
            ("a.shop.example.com", "shop.example.com"),
            ("0.0.1", "10.0.0.1"),
        ] {
            assert!(!is_kept_for(domain, host), "{domain} at {host}");
        }
    }

    #[test]
    fn a_cookie_that_is_too_large_is_refused_and_one_too_many_removes_the_oldest() {
        let plain = site("x.com", false);
        assert!(is_kept(&format!("a={}", "x".repeat(4095)), &plain));
        assert!(!is_kept(&format!("a={}", "x".repeat(4096)), &plain));
        let long_path = format!("a=1; Path=/{}", "x".repeat(1024));
        assert_eq!(header(&jar(&[&long_path]), "/"), "Cookie: a=1\r\n", "the attribute counts for nothing");
        let mut many = CookieJar::default();
        for number in 0..=MAX_COOKIES {
            set(&mut many, &format!("c{number}=1"), "/");
        }
        assert_eq!(many.cookies.len(), MAX_COOKIES);
        assert_eq!(&*many.cookies[0].name, "c1");
    }

    #[test]
    fn a_header_that_is_no_cookie_is_ignored() {
        assert_eq!(jar(&["", ";", "=", "=x", "novalue", "a=\u{1}", "a=1\r\nb=2"]), CookieJar::default());
        let mut jar = CookieJar::default();
        jar.set(b"a=\xff", "/", &Site::default(), || NOW_S);
        assert_eq!(jar, CookieJar::default());
    }
}
