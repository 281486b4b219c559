//! Converts a request from the users' format to the library's. Users write HTTP/1.1 for every protocol, so that
//! requests are written in one place only.

use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request};

/// Returns `None` if `bytes` are not a request, which can only be caused by a defect of this program or an invalid
/// header given by the user. The library itself sets the headers that name the host, the connection and the content
/// length.
#[must_use]
pub fn of(bytes: &[u8], scheme: &str, host: &str, client: &Client) -> Option<Request> {
    // At most one header per line, for any number of headers that the user gives.
    let mut headers = vec![httparse::EMPTY_HEADER; bytes.split(|byte| *byte == b'\n').count()];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(bytes).ok()? else { return None };
    let method = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    let mut request = client.request(method, format!("{scheme}://{host}{}", parsed.path?));
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let is_given = name == HOST && header.value == host.as_bytes();
        if name != CONNECTION && name != CONTENT_LENGTH && !is_given {
            request = request.header(name, HeaderValue::from_bytes(header.value).ok()?);
        }
    }
    let body = bytes.get(head..)?;
    let request = if body.is_empty() { request } else { request.body(body.to_vec()) };
    request.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_method_path_headers_and_body() {
        let client = super::super::library().build().unwrap();
        let bytes = b"POST /session/ops?x=1 HTTP/1.1\r\nHost: shop:8443\r\nCookie: SID=a; B=c\r\nConnection: close\r\n\
            Content-Length: 9\r\n\r\n{\"op\":1}\n";
        let request = of(bytes, "https", "shop:8443", &client).unwrap();
        assert_eq!((request.method(), request.url().as_str()), (&Method::POST, "https://shop:8443/session/ops?x=1"));
        let headers: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers, [("cookie", &b"SID=a; B=c"[..])]);
        assert_eq!(request.body().unwrap().as_bytes().unwrap(), b"{\"op\":1}\n");
        assert!(of(b"no request", "http", "h", &client).is_none());
    }
}
