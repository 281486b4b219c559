//! Reading an HTTP/1.1 reply from bytes: a pure function of what has arrived so far. It accepts
//! arbitrary bytes and never panics; what HTTP does not allow is [`Parsed::Malformed`].

/// No head of a reply may be larger.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// No body may be larger.
const MOST_BODY_BYTES: usize = 16 * 1024 * 1024;
const MOST_HEADERS: usize = 64;

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Every `Set-Cookie` value, in order.
    pub set_cookies: Vec<String>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// Whether the connection can carry another request.
    pub keep_alive: bool,
}

/// What the bytes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More has to come.
    Incomplete,
    /// A whole reply, and how many bytes it took.
    Complete(Reply, usize),
    /// Not a reply.
    Malformed,
}

/// Reads `bytes`; `ended` says that no more will come.
pub fn parse(bytes: &[u8], ended: bool) -> Parsed {
    let mut start = 0;
    loop {
        match parse_one(&bytes[start..], ended) {
            // 1xx is not the reply yet.
            Parsed::Complete(reply, length) if (100..200).contains(&reply.status) && reply.status != 101 => {
                start += length;
            }
            Parsed::Complete(reply, length) => return Parsed::Complete(reply, start + length),
            other => return other,
        }
    }
}

enum BodyLength {
    None,
    Exactly(usize),
    Chunked,
    UntilClose,
}

fn parse_one(bytes: &[u8], ended: bool) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() <= MOST_HEAD_BYTES => return Parsed::Incomplete,
        Ok(httparse::Status::Partial) | Err(_) => return Parsed::Malformed,
    };
    let (Some(status), Some(version)) = (response.code, response.version) else { return Parsed::Malformed };
    let Some(framing) = body_length(status, response.headers) else { return Parsed::Malformed };
    let rest = &bytes[head..];
    let (body, length, closes) = match framing {
        BodyLength::None => (Vec::new(), 0, false),
        BodyLength::Exactly(length) if length > MOST_BODY_BYTES => return Parsed::Malformed,
        BodyLength::Exactly(length) => match rest.get(..length) {
            Some(body) => (body.to_vec(), length, false),
            None => return Parsed::Incomplete,
        },
        BodyLength::Chunked => match dechunk(rest) {
            Ok(Some((body, length))) => (body, length, false),
            Ok(None) => return Parsed::Incomplete,
            Err(NotChunks) => return Parsed::Malformed,
        },
        BodyLength::UntilClose if rest.len() > MOST_BODY_BYTES => return Parsed::Malformed,
        BodyLength::UntilClose if ended => (rest.to_vec(), rest.len(), true),
        BodyLength::UntilClose => return Parsed::Incomplete,
    };
    let reply = Reply {
        status,
        set_cookies: values(response.headers, "set-cookie")
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect(),
        body,
        keep_alive: !closes && keeps_alive(version, response.headers),
    };
    Parsed::Complete(reply, head + length)
}

fn values<'a>(headers: &'a [httparse::Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn keeps_alive(version: u8, headers: &[httparse::Header]) -> bool {
    let says = |word: &str| {
        values(headers, "connection")
            .any(|value| String::from_utf8_lossy(value).split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if version == 0 { says("keep-alive") } else { !says("close") }
}

/// RFC 9112, section 6.3. None where the headers contradict each other.
fn body_length(status: u16, headers: &[httparse::Header]) -> Option<BodyLength> {
    if status < 200 || status == 204 || status == 304 {
        return Some(BodyLength::None);
    }
    let mut encodings = values(headers, "transfer-encoding");
    let mut lengths = values(headers, "content-length");
    if let Some(encoding) = encodings.next() {
        let chunked = encoding.eq_ignore_ascii_case(b"chunked") && encodings.next().is_none();
        return (chunked && lengths.next().is_none()).then_some(BodyLength::Chunked);
    }
    let Some(length) = lengths.next() else { return Some(BodyLength::UntilClose) };
    if lengths.any(|other| other != length) || !length.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(length).ok()?.parse().ok().map(BodyLength::Exactly)
}

struct NotChunks;

/// The joined chunks and how many bytes they took; none while more has to come.
fn dechunk(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, NotChunks> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let (line, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete(sized)) => sized,
            Ok(httparse::Status::Partial) if bytes.len() - at <= MOST_HEAD_BYTES => return Ok(None),
            Ok(httparse::Status::Partial) | Err(_) => return Err(NotChunks),
        };
        let size = usize::try_from(size).map_err(|_| NotChunks)?;
        if size > MOST_BODY_BYTES - body.len() {
            return Err(NotChunks);
        }
        at += line;
        if size == 0 {
            return end_of_trailers(&bytes[at..]).map(|end| end.map(|end| (body, at + end)));
        }
        let Some(chunk) = bytes.get(at..at + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match bytes.get(at + size..at + size + 2) {
            Some(b"\r\n") => at += size + 2,
            Some(_) => return Err(NotChunks),
            None => return Ok(None),
        }
    }
}

/// Where the empty line after the last chunk, and any trailers before it, ends.
fn end_of_trailers(bytes: &[u8]) -> Result<Option<usize>, NotChunks> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    match httparse::parse_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete((length, _))) => Ok(Some(length)),
        Ok(httparse::Status::Partial) if bytes.len() <= MOST_HEAD_BYTES => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err(NotChunks),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete(text: &str) -> Reply {
        match parse(text.as_bytes(), false) {
            Parsed::Complete(reply, length) => {
                assert_eq!(length, text.len());
                reply
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reply_of_a_given_length_keeps_its_cookies() {
        let reply =
            complete("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2; Path=/\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(reply.set_cookies, ["a=1", "b=2; Path=/"]);
        assert_eq!((reply.status, reply.body.as_slice(), reply.keep_alive), (200, b"hi".as_slice(), true));
    }

    #[test]
    fn chunks_are_joined() {
        let reply =
            complete("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n");
        assert_eq!(reply.body, b"hello");
    }

    #[test]
    fn an_interim_reply_is_not_the_reply() {
        assert_eq!(complete("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").status, 204);
    }

    #[test]
    fn connection_close_is_obeyed() {
        assert!(!complete("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").keep_alive);
        assert!(!complete("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keep_alive);
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let text = b"HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(parse(text, false), Parsed::Incomplete);
        assert!(matches!(parse(text, true), Parsed::Complete(Reply { keep_alive: false, .. }, 24)));
    }

    #[test]
    fn a_body_cut_short_is_never_complete() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell";
        assert_eq!(parse(text, true), Parsed::Incomplete);
    }

    #[test]
    fn what_http_forbids_is_malformed() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert_eq!(parse(text.as_bytes(), false), Parsed::Malformed, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), ended: bool) {
            let _ = parse(&bytes, ended);
        }

        #[test]
        fn a_damaged_reply_never_panics(at in 0usize..90, byte: u8, ended: bool) {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n".to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = parse(&bytes, ended);
            let _ = parse(&bytes[..at], ended);
        }

        #[test]
        fn no_prefix_of_a_reply_is_complete(cut in 0usize..70) {
            let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
            let cut = cut.min(bytes.len() - 1);
            prop_assert_eq!(parse(&bytes[..cut], true), Parsed::Incomplete);
        }
    }
}
