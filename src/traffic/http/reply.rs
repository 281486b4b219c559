//! Parses an HTTP/1.1 reply: a pure function of the bytes that have arrived so far. It accepts arbitrary bytes and
//! never panics; bytes that HTTP does not allow are [`Parsed::Malformed`].

use std::borrow::Cow;
use std::mem::MaybeUninit;

/// Largest head of a reply (status line and headers); curl accepts 300 KB.
const MAX_HEAD_BYTES: usize = 256 * 1024;
/// Largest body that is kept; a larger one is discarded.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of interim replies (1xx) together.
const MAX_INTERIM_BYTES: usize = 1024 * 1024;
/// Headers that are parsed without allocating memory.
const DEFAULT_HEADERS: usize = 64;
/// Most headers of a reply; browsers accept thousands.
const MAX_HEADERS: usize = 8192;

/// A complete reply. It borrows from the received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The status code.
    pub status: u16,
    /// The status line and the headers, as they came.
    pub head: &'a [u8],
    /// Every `Set-Cookie` value, in order.
    pub set_cookies: Vec<&'a [u8]>,
    /// The body with its chunks joined; empty if it was too large to keep.
    pub body: Cow<'a, [u8]>,
    /// Whether the connection can carry another request.
    pub keep_alive: bool,
}

impl Reply<'_> {
    /// The first header of that name, whatever its case; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1);
        let mut named = lines.filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            let (found, value) = line.split_at(at);
            found.trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
        });
        named.next().map(|value| String::from_utf8_lossy(value.trim_ascii()).into_owned())
    }
}

/// The result of parsing the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// Incomplete: the result does not change before there are this many bytes, counted from the first.
    Incomplete(usize),
    /// A reply whose body is too large to keep: length of the head, and length of the body, or `None` if it ends with
    /// the connection.
    Large(usize, Option<usize>),
    /// A complete reply, and its length in bytes.
    Complete(Reply<'a>, usize),
    /// Not a valid reply.
    Malformed,
    /// The head or the interim replies are larger than a limit of this parser; the reply may be valid.
    TooLarge,
}

/// The part of a reply that is already parsed, so that a reply in very many pieces is not parsed from its first byte
/// for each piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Offset of the end of the interim replies.
    interim: usize,
    chunks: SeenChunks,
}

/// The chunks that are already parsed.
#[derive(Clone, Copy, Debug, Default)]
struct SeenChunks {
    /// Offset of the end of the head, counted from the end of the interim replies.
    head: usize,
    /// Offset of the end of the chunks, counted from the end of the head.
    end: usize,
    /// Bytes that are still to come of a chunk that is too large to keep.
    left: Option<usize>,
    /// Whether the body is discarded.
    is_cut: bool,
}

impl Seen {
    /// Removes parsed chunks from `bytes` if they are too large to keep. Returns how many bytes were removed.
    pub fn forget(&mut self, bytes: &mut Vec<u8>) -> usize {
        let SeenChunks { head, end, .. } = self.chunks;
        if end <= MAX_BODY_BYTES {
            return 0;
        }
        let start = self.interim + head;
        drop(bytes.drain(start..(start + end).min(bytes.len())));
        self.chunks = SeenChunks { end: 0, is_cut: true, ..self.chunks };
        end
    }
}

/// Parses `bytes`. `ended`: no more bytes will come. `is_bodiless`: the reply has no body, as for `HEAD`.
#[cfg(test)]
pub fn parse(bytes: &[u8], ended: bool, is_bodiless: bool) -> Parsed<'_> {
    parse_on(bytes, ended, is_bodiless, &mut Seen::default())
}

/// Parses `bytes`, which begin with the bytes of the last call. `ended`: no more bytes will come. `is_bodiless`: the
/// reply has no body, as for `HEAD`.
pub fn parse_on<'a>(bytes: &'a [u8], ended: bool, is_bodiless: bool, seen: &mut Seen) -> Parsed<'a> {
    loop {
        let start = seen.interim;
        if start > MAX_INTERIM_BYTES {
            return Parsed::TooLarge;
        }
        match parse_one(&bytes[start..], ended, is_bodiless, &mut seen.chunks) {
            Parsed::Incomplete(needed) => return Parsed::Incomplete(start + needed),
            Parsed::Large(head, length) => return Parsed::Large(start + head, length),
            // A 1xx reply is not the final one.
            Parsed::Complete(reply, length) if (100..200).contains(&reply.status) && reply.status != 101 => {
                seen.interim += length;
            }
            Parsed::Complete(reply, length) => return Parsed::Complete(reply, start + length),
            unreadable @ (Parsed::Malformed | Parsed::TooLarge) => return unreadable,
        }
    }
}

enum BodyLength {
    None,
    Exactly(usize),
    Chunked,
    UntilClose,
}

fn parse_one<'a>(bytes: &'a [u8], ended: bool, is_bodiless: bool, chunks: &mut SeenChunks) -> Parsed<'a> {
    // Not initialised, because this costs as much as parsing a head.
    let mut headers = [const { MaybeUninit::uninit() }; DEFAULT_HEADERS];
    let mut many = Vec::new();
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    let mut parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    if parsed == Err(httparse::Error::TooManyHeaders) {
        many.resize_with(MAX_HEADERS, MaybeUninit::uninit);
        response = httparse::Response::new(&mut []);
        parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut many);
    }
    let head = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD_BYTES => return Parsed::Incomplete(bytes.len() + 1),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Parsed::TooLarge,
        Err(_) => return Parsed::Malformed,
    };
    let (Some(status), Some(version)) = (response.code, response.version) else { return Parsed::Malformed };
    let Some(known) = Known::of(response.headers) else { return Parsed::Malformed };
    let framing = known.body_length(status);
    let rest = &bytes[head..];
    let (body, length, closes) = match framing {
        _ if is_bodiless => (Cow::Borrowed(&[][..]), 0, false),
        BodyLength::None => (Cow::Borrowed(&[][..]), 0, false),
        BodyLength::Exactly(length) if length > MAX_BODY_BYTES => return Parsed::Large(head, Some(length)),
        BodyLength::Exactly(length) => match rest.get(..length) {
            Some(body) => (Cow::Borrowed(body), length, false),
            None => return Parsed::Incomplete(head + length),
        },
        BodyLength::Chunked => match end_of_chunks(rest, chunks) {
            Ok(Chunks::All(length)) if chunks.is_cut => (Cow::Borrowed(&[][..]), length, false),
            Ok(Chunks::All(length)) => (Cow::Owned(joined(rest)), length, false),
            Ok(Chunks::Need(length)) => {
                chunks.head = head;
                return Parsed::Incomplete(head + length);
            }
            Err(NotChunks) => return Parsed::Malformed,
        },
        BodyLength::UntilClose if rest.len() > MAX_BODY_BYTES => return Parsed::Large(head, None),
        BodyLength::UntilClose if ended => (Cow::Borrowed(rest), rest.len(), true),
        BodyLength::UntilClose => return Parsed::Incomplete(bytes.len() + 1),
    };
    let reply = Reply {
        status,
        head: &bytes[..head],
        set_cookies: known.set_cookies,
        body,
        keep_alive: !closes && if version == 0 { known.says_keep_alive } else { !known.says_close },
    };
    Parsed::Complete(reply, head + length)
}

/// The values of the headers that matter here, found in one pass.
#[derive(Default)]
struct Known<'a> {
    set_cookies: Vec<&'a [u8]>,
    length: Option<usize>,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
}

impl<'a> Known<'a> {
    /// Returns `None` if the headers contradict each other (RFC 9112, section 6.3) or a length is no number.
    fn of(headers: &[httparse::Header<'a>]) -> Option<Self> {
        let mut known = Self::default();
        for header in headers {
            // Few header names have one of these lengths, so most are not compared at all.
            match header.name.len() {
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    for part in header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        known.says_close |= part.eq_ignore_ascii_case(b"close");
                        known.says_keep_alive |= part.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                10 if header.name.eq_ignore_ascii_case("set-cookie") => known.set_cookies.push(header.value),
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let length = decimal(header.value)?;
                    if known.length.is_some_and(|other| other != length) {
                        return None;
                    }
                    known.length = Some(length);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    for coding in header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        // A coding after `chunked` would hide where the chunks end.
                        if known.is_chunked {
                            return None;
                        }
                        known.is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                    }
                }
                _ => {}
            }
        }
        (!known.is_chunked || known.length.is_none()).then_some(known)
    }

    fn body_length(&self, status: u16) -> BodyLength {
        match self.length {
            _ if status < 200 || status == 204 || status == 304 => BodyLength::None,
            _ if self.is_chunked => BodyLength::Chunked,
            Some(length) => BodyLength::Exactly(length),
            None => BodyLength::UntilClose,
        }
    }
}

/// Parses digits and nothing else.
fn decimal(digits: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

struct NotChunks;

enum Chunks {
    /// All chunks have arrived; their length in bytes.
    All(usize),
    /// The result does not change before there are this many bytes.
    Need(usize),
}

/// Parses the chunks after those in `seen`.
fn end_of_chunks(bytes: &[u8], seen: &mut SeenChunks) -> Result<Chunks, NotChunks> {
    loop {
        if let Some(left) = seen.left {
            let there = left.min(bytes.len().saturating_sub(seen.end));
            seen.end += there;
            seen.left = Some(left - there);
            match bytes.get(seen.end..seen.end + 2) {
                None => return Ok(Chunks::Need(bytes.len() + 1)),
                Some(b"\r\n") => (seen.end, seen.left) = (seen.end + 2, None),
                Some(_) => return Err(NotChunks),
            }
        }
        let rest = bytes.get(seen.end..).unwrap_or_default();
        let (line, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(sized)) => sized,
            Ok(httparse::Status::Partial) if rest.len() <= MAX_HEAD_BYTES => return Ok(Chunks::Need(bytes.len() + 1)),
            Ok(httparse::Status::Partial) | Err(_) => return Err(NotChunks),
        };
        // No server sends a chunk of more than `isize::MAX` bytes on purpose.
        let size = usize::try_from(size).ok().filter(|size| isize::try_from(*size).is_ok()).ok_or(NotChunks)?;
        let start = seen.end + line;
        if size == 0 {
            let end = end_of_trailers(&bytes[start..])?;
            return Ok(end.map_or(Chunks::Need(bytes.len() + 1), |end| Chunks::All(start + end)));
        }
        // A chunk is parsed when it is complete. A very large one is discarded; [`Seen::forget`] removes the first of
        // very many.
        if size > MAX_BODY_BYTES {
            *seen = SeenChunks { end: start, left: Some(size), is_cut: true, ..*seen };
            continue;
        }
        match bytes.get(start + size..start + size + 2) {
            Some(b"\r\n") => seen.end = start + size + 2,
            Some(_) => return Err(NotChunks),
            None => return Ok(Chunks::Need(start + size + 2)),
        }
    }
}

/// Joins the contents of complete chunks.
fn joined(bytes: &[u8]) -> Vec<u8> {
    let (mut body, mut rest) = (Vec::new(), bytes);
    while let Ok(httparse::Status::Complete((line, size @ 1..))) = httparse::parse_chunk_size(rest) {
        let end = line + usize::try_from(size).unwrap_or_default();
        body.extend_from_slice(rest.get(line..end).unwrap_or_default());
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    body
}

/// Offset of the end of the trailers and the empty line after the last chunk; `None` if they are incomplete.
fn end_of_trailers(bytes: &[u8]) -> Result<Option<usize>, NotChunks> {
    let mut headers = [httparse::EMPTY_HEADER; DEFAULT_HEADERS];
    match httparse::parse_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete((length, _))) => Ok(Some(length)),
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD_BYTES => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err(NotChunks),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::damage::{BINARY, TEXT, survives};

    fn complete(text: &str) -> Reply<'_> {
        match parse(text.as_bytes(), false, false) {
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
        assert_eq!(reply.set_cookies, [b"a=1".as_slice(), b"b=2; Path=/"]);
        assert_eq!((reply.status, &*reply.body, reply.keep_alive), (200, b"hi".as_slice(), true));
    }

    #[test]
    fn chunks_are_joined() {
        let reply =
            complete("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n");
        assert_eq!(&*reply.body, b"hello");
    }

    #[test]
    fn a_chunk_that_is_too_large_to_keep_is_discarded() {
        let mut reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n".to_vec();
        let large = 2 * MAX_BODY_BYTES + 1;
        reply.extend_from_slice(format!("{large:x}\r\n").as_bytes());
        reply.resize(reply.len() + large, b'\n');
        reply.extend_from_slice(b"\r\n3\r\nllo\r\n0\r\n\r\n");
        let (mut received, mut seen, mut most) = (Vec::new(), Seen::default(), 0);
        for piece in reply.chunks(65_521) {
            received.extend_from_slice(piece);
            most = most.max(received.len());
            match parse_on(&received, false, false, &mut seen) {
                Parsed::Incomplete(_) => drop(seen.forget(&mut received)),
                Parsed::Complete(reply, length) => {
                    assert_eq!((reply.status, &*reply.body, reply.keep_alive), (200, &b""[..], true));
                    assert_eq!(length, received.len());
                    assert!(most < MAX_BODY_BYTES + 200_000, "{most}");
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("it never ended");
    }

    #[test]
    fn an_interim_reply_is_not_the_reply() {
        assert_eq!(complete("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").status, 204);
    }

    #[test]
    fn a_connection_that_the_server_closes_is_not_kept() {
        assert!(!complete("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").keep_alive);
        assert!(!complete("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keep_alive);
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let text = b"HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(parse(text, false, false), Parsed::Incomplete(25));
        assert!(matches!(parse(text, true, false), Parsed::Complete(Reply { keep_alive: false, .. }, 24)));
    }

    #[test]
    fn a_body_cut_short_is_never_complete() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell";
        assert_eq!(parse(text, true, false), Parsed::Incomplete(43));
    }

    #[test]
    fn a_reply_that_http_forbids_is_malformed() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert_eq!(parse(text.as_bytes(), false, false), Parsed::Malformed, "{text}");
        }
    }

    #[test]
    fn thousands_of_headers_folded_headers_and_unusual_codings_are_accepted() {
        let many = "X-Y: z\r\n".repeat(5000);
        assert_eq!(complete(&format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\nhi")).status, 200);
        assert_eq!(&*complete("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi").body, b"hi");
        let chunks = "2\r\nhi\r\n0\r\n\r\n";
        assert_eq!(
            &*complete(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{chunks}")).body,
            b"hi"
        );
        let identity = "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(&*complete(identity).body, b"hi");
    }

    #[test]
    fn a_reply_in_a_hundred_thousand_pieces_is_parsed_once_and_a_flood_of_interim_replies_ends() {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let mut seen = Seen::default();
        for _ in 0..100_000 {
            bytes.extend_from_slice(b"1\r\nx\r\n");
            assert!(matches!(parse_on(&bytes, false, false, &mut seen), Parsed::Incomplete(_)));
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let Parsed::Complete(reply, length) = parse_on(&bytes, false, false, &mut seen) else { panic!("not complete") };
        assert_eq!((reply.body.len(), length), (100_000, bytes.len()));
        let flood = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(50_000);
        assert_eq!(parse(&flood, false, false), Parsed::TooLarge);
    }

    /// Replies of every framing, with some bytes changed, inserted, removed or cut off.
    #[test]
    #[expect(clippy::print_stdout, reason = "a failure must be repeatable")]
    fn a_million_damaged_replies_neither_panic_nor_hang_nor_exceed_their_bytes() {
        let seed = std::env::var("STEADFAST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
        println!("STEADFAST_SEED={seed}");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let whole: [&[u8]; 5] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b; Path=/\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n",
            b"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\nuntil the end",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close, x\r\n\r\n",
        ];
        let (mut complete, mut malformed) = (0, 0);
        for _ in 0..1_000_000 {
            let mut bytes = whole[rng.random_range(0..whole.len())].to_vec();
            for _ in 0..rng.random_range(0..4) {
                let at = rng.random_range(0..bytes.len());
                match rng.random_range(0..4) {
                    0 => bytes[at] = rng.random(),
                    1 => bytes.insert(at, b"\r\n:;0 f\xff"[rng.random_range(0..8)]),
                    2 => drop(bytes.drain(at..(at + rng.random_range(1..9)).min(bytes.len()))),
                    _ => bytes.truncate(at + 1),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            match parse(&bytes, rng.random(), rng.random_bool(0.1)) {
                Parsed::Complete(_, length) => {
                    assert!(length <= bytes.len());
                    complete += 1;
                }
                Parsed::Incomplete(needed) => assert!(needed > bytes.len()),
                Parsed::Large(head, _) => assert!(head <= bytes.len()),
                Parsed::Malformed | Parsed::TooLarge => malformed += 1,
            }
        }
        assert!(complete > 100_000 && malformed > 100_000, "{complete} and {malformed}: too few of a kind");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), ended: bool) {
            let _ = parse(&bytes, ended, false);
        }

        #[test]
        fn a_damaged_reply_never_panics(at in 0usize..90, byte: u8, ended: bool) {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n".to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = parse(&bytes, ended, false);
            let _ = parse(&bytes[..at], ended, false);
        }

        #[test]
        fn no_prefix_of_a_reply_is_complete(cut in 0usize..70) {
            let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
            let cut = cut.min(bytes.len() - 1);
            let Parsed::Incomplete(needed) = parse(&bytes[..cut], true, false) else { panic!("{cut} bytes were enough") };
            prop_assert!(cut < needed && needed <= bytes.len());
        }

        #[test]
        fn the_result_does_not_change_before_the_needed_bytes_are_there(
            chunks in proptest::collection::vec(1usize..30, 1..5),
        ) {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for length in chunks {
                bytes.extend_from_slice(format!("{length:x}\r\n{}\r\n", "x".repeat(length)).as_bytes());
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let mut at = 0;
            while let Parsed::Incomplete(needed) = parse(&bytes[..at], false, false) {
                for shorter in at..needed {
                    prop_assert!(matches!(parse(&bytes[..shorter], false, false), Parsed::Incomplete(_)));
                }
                at = needed;
            }
            prop_assert_eq!(at, bytes.len());
        }
    }

    #[test]
    fn a_damaged_reply_gives_the_same_result_whole_and_in_pieces() {
        let whole = [
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nTransfer-Encoding: gzip, chunked\r\nX: a\r\n b\r\n\r\n\
             2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: v\r\n\r\n",
            "HTTP/1.0 302 Found\nLocation: /login\n\nuntil it closes",
        ];
        let words: Vec<&[u8]> = [
            BINARY,
            TEXT,
            &[b"\r\n\r\n", b"\r\n", b"chunked", b"Content-Length: 9\r\n", b"ffffffff", b"HTTP/1.1 103 E\r\n\r\n"],
        ]
        .concat();
        survives(&whole.map(|text| text.as_bytes().to_vec()), &words, |bytes| {
            let at_once = parse(bytes, true, false);
            let mut seen = Seen::default();
            let middle = bytes.len() / 2;
            // A reply that is complete early may be followed by extra bytes.
            if let Parsed::Incomplete(_) = parse_on(&bytes[..middle], false, false, &mut seen) {
                assert_eq!(parse_on(bytes, true, false, &mut seen), at_once);
            }
        });
    }
}
