//! A session's cookies: what a browser would send back. One host and one path, so neither is looked at.

/// Names and values, in the order in which they were first set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieJar {
    cookies: Vec<(String, String)>,
}

impl CookieJar {
    /// Takes the value of a `Set-Cookie` header (RFC 6265, section 5.2). What cannot be read is left out.
    pub fn set(&mut self, header: &str) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return;
        }
        self.cookies.retain(|(other, _)| other != name);
        if !parts.any(deletes) {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The value of the `Cookie` header; none where there are no cookies.
    pub fn header(&self) -> Option<String> {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// Servers delete a cookie with `Max-Age=0` or with a date in 1970.
fn deletes(attribute: &str) -> bool {
    let Some((name, value)) = attribute.split_once('=') else { return false };
    let (name, value) = (name.trim(), value.trim());
    let no_age = || value.parse::<i64>().is_ok_and(|seconds| seconds <= 0);
    (name.eq_ignore_ascii_case("max-age") && no_age())
        || (name.eq_ignore_ascii_case("expires") && value.contains("1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_replaced_and_deleted() {
        let mut jar = CookieJar::default();
        jar.set("JSESSIONID=1; Path=/; HttpOnly");
        jar.set("SRV=app-1; path=/");
        assert_eq!(jar.header().as_deref(), Some("JSESSIONID=1; SRV=app-1"));
        jar.set("SRV=app-2");
        assert_eq!(jar.header().as_deref(), Some("JSESSIONID=1; SRV=app-2"));
        jar.set("SRV=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/");
        jar.set("JSESSIONID=x; Max-Age=0");
        assert_eq!(jar.header(), None);
    }

    #[test]
    fn what_is_no_cookie_is_left_out() {
        let mut jar = CookieJar::default();
        for header in ["", ";", "=", "=x", "novalue"] {
            jar.set(header);
        }
        assert_eq!(jar, CookieJar::default());
    }
}
